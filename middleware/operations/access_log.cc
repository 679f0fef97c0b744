#include "middleware/operations/access_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "middleware/http/target.h"
#include "middleware/http/text.h"

namespace zerocloud::operations {
namespace {

// Parameters of a query that give a right to whoever reads them.
constexpr std::array<std::string_view, 3> kSecretParameters = {"temp_url_sig", "signature",
                                                               "x-amz-signature"};

// Python's quote(text, ':/{}').
void AppendQuoted(std::string& line, std::string_view text) {
  if (!line.empty()) line.push_back(' ');
  if (text.empty()) line.push_back('-');
  line += http::PercentEncodeBut(text, ":/{}");
}

std::string Obscured(std::string_view secret, std::size_t shown) {
  if (secret.empty()) return {};
  return std::string(secret.size() > shown ? secret.substr(0, shown) : "") + "...";
}

std::string WithoutSecrets(std::string_view target, std::size_t shown) {
  const std::size_t query = std::min(target.find('?'), target.size());
  std::string out(target.substr(0, query));
  std::string_view rest = target.substr(query);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&', 1), rest.size());
    const std::string_view part = rest.substr(0, end);
    const std::size_t equals = std::min(part.find('='), part.size());
    const bool is_secret = std::ranges::any_of(kSecretParameters, [&](std::string_view name) {
      return http::EqualsIgnoringCase(part.substr(1, equals - 1), name);
    });
    if (is_secret && equals < part.size()) {
      out += std::string(part.substr(0, equals + 1)) + Obscured(part.substr(equals + 1), shown);
    } else {
      out += part;
    }
    rest.remove_prefix(end);
  }
  return out;
}

// Swift's best guess at the client behind balancers.
std::string_view ClientOf(const http::RequestHead& head) {
  if (const auto cluster = head.headers.Get("X-Cluster-Client-Ip"); cluster && !cluster->empty()) {
    return *cluster;
  }
  const std::string_view forwarded = head.headers.Get("X-Forwarded-For").value_or("");
  const std::string_view first = http::Trim(forwarded.substr(0, forwarded.find(',')));
  return first.empty() ? std::string_view(head.remote_address) : first;
}

std::string NumberOrNothing(std::uint64_t number) {
  return number == 0 ? std::string() : std::to_string(number);
}

}  // namespace

std::string JsonLine(const server::RequestRecord& record) {
  const http::RequestHead& head = *record.head;
  return fmt::format(
      "{{\"time\": {}, \"request\": {}, \"method\": {}, \"target\": {}, \"remote\": {}, "
      "\"status\": {}, \"bytes_in\": {}, \"bytes_out\": {}, \"us\": {}}}\n",
      std::time(nullptr), http::JsonQuoted(record.trans_id), http::JsonQuoted(head.method),
      http::JsonQuoted(WithoutSecrets(head.target, 0)), http::JsonQuoted(head.remote_address),
      record.status, record.bytes_in, record.bytes_out, record.duration.count());
}

std::string SwiftLine(const server::RequestRecord& record, std::size_t token_bytes) {
  using std::chrono::duration;
  const http::RequestHead& head = *record.head;
  const auto field = [&head](std::string_view name) { return head.headers.Get(name).value_or(""); };
  const auto now = std::chrono::system_clock::now();
  const double end = duration<double>(now.time_since_epoch()).count();
  const double took = duration<double>(record.duration).count();
  std::string line;
  line.reserve(512);
  AppendQuoted(line, ClientOf(head));
  AppendQuoted(line, head.remote_address);
  AppendQuoted(line, fmt::format("{:%d/%b/%Y/%H/%M/%S}",
                                 fmt::gmtime(std::chrono::system_clock::to_time_t(now))));
  AppendQuoted(line, head.method);
  AppendQuoted(line, WithoutSecrets(head.target, token_bytes));
  AppendQuoted(line, record.is_http_10 ? "HTTP/1.0" : "HTTP/1.1");
  AppendQuoted(line, std::to_string(record.status));
  AppendQuoted(line, field("Referer"));
  AppendQuoted(line, field("User-Agent"));
  AppendQuoted(line, Obscured(field("X-Auth-Token"), token_bytes));
  AppendQuoted(line, NumberOrNothing(record.bytes_in));
  AppendQuoted(line, NumberOrNothing(record.bytes_out));
  AppendQuoted(line, field("ETag"));
  AppendQuoted(line, record.trans_id);
  AppendQuoted(line, {});  // headers
  AppendQuoted(line, fmt::format("{:.4f}", took));
  AppendQuoted(line, head.headers.Has("X-Zerovm-Execute") ? "ZC" : "");
  AppendQuoted(line, {});  // log_info
  AppendQuoted(line, fmt::format("{:.9f}", end - took));
  AppendQuoted(line, fmt::format("{:.9f}", end));
  AppendQuoted(line, {});  // policy_index
  return line + "\n";
}

void WriteLine(int fd, const std::string& line) {
  [[maybe_unused]] const ssize_t count = ::write(fd, line.data(), line.size());
}

}  // namespace zerocloud::operations
