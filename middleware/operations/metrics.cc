#include "middleware/operations/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <tuple>

#include "middleware/http/reply.h"
#include "middleware/operations/statsd.h"

namespace zerocloud::operations {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

std::size_t MethodIndex(std::string_view method) {
  const auto* const found = std::ranges::find(Metrics::kMethods, method);
  return found == Metrics::kMethods.end()
             ? Metrics::kMethods.size() - 1
             : static_cast<std::size_t>(found - Metrics::kMethods.begin());
}

// What Swift's proxy-logging counts a path as: by its slashes.
std::size_t TypeIndex(const http::RequestHead& head) {
  constexpr std::size_t kJob = 3;
  constexpr std::size_t kOther = 4;
  if (head.headers.Has("X-Zerovm-Execute")) return kJob;
  std::string_view path = std::string_view(head.target).substr(0, head.target.find('?'));
  if (!path.starts_with("/v1/")) return kOther;
  while (path.ends_with('/')) path.remove_suffix(1);
  const auto slashes = static_cast<std::size_t>(std::ranges::count(path, '/'));
  return slashes < 2 ? kOther : std::min<std::size_t>(slashes, 4) - 2;
}

}  // namespace

Metrics::Metrics(std::string version, Statsd* statsd)
    : version_(std::move(version)),
      statsd_(statsd),
      started_(std::time(nullptr)),
      sessions_(statsd, "session") {}

void Metrics::Count(const server::RequestRecord& record) {
  const std::size_t type = TypeIndex(*record.head);
  const std::size_t method = MethodIndex(record.head->method);
  const auto status = static_cast<std::size_t>(std::clamp(record.status, 0, 599));
  requests_.at(type).at(method).at(status).fetch_add(1, kRelaxed);
  request_seconds_.at(type).Add(record.duration);
  bytes_in_.fetch_add(record.bytes_in, kRelaxed);
  bytes_out_.fetch_add(record.bytes_out, kRelaxed);
  if (statsd_ == nullptr || kTypes.at(type) == "other" || !statsd_->IsSampled()) return;
  const bool is_known = method + 1 < kMethods.size();
  const std::string name = fmt::format("{}.{}.{}", kTypes.at(type),
                                       is_known ? kMethods.at(method) : "BAD_METHOD", status);
  statsd_->Timing(name + ".timing", record.duration);
  statsd_->Count(name + ".xfer", record.bytes_in + record.bytes_out);
}

void Metrics::Count(const node::JobResult& result) {
  const int status = result.error ? http::StatusOf(result.error->code) : 200;
  jobs_.at(static_cast<std::size_t>(status)).fetch_add(1, kRelaxed);
  job_seconds_.Add(result.wall_time);
  if (statsd_ != nullptr && statsd_->IsSampled()) {
    statsd_->Timing(fmt::format("run.{}.timing", status), result.wall_time);
  }
  for (const node::SessionOutcome& session : result.sessions) {
    if (session.end == node::SessionEnd::kNotStarted) {
      sessions_.CountNotStarted();
      continue;
    }
    sessions_.Count(session.report);
    if (session.has_objects) (session.is_local ? local_ : remote_).fetch_add(1, kRelaxed);
  }
}

void Metrics::AppendRequests(std::string& text) const {
  AppendHead(text, "zerocloud_requests_total");
  for (std::size_t type = 0; type < kTypes.size(); ++type) {
    for (std::size_t method = 0; method < kMethods.size(); ++method) {
      for (std::size_t status = 0; status < kStatuses; ++status) {
        const std::uint64_t count = requests_.at(type).at(method).at(status).load(kRelaxed);
        if (count == 0) continue;
        text +=
            fmt::format("zerocloud_requests_total{{type=\"{}\",method=\"{}\",status=\"{}\"}} {}\n",
                        kTypes.at(type), kMethods.at(method), status, count);
      }
    }
  }
  AppendHead(text, "zerocloud_request_seconds");
  for (std::size_t type = 0; type < kTypes.size(); ++type) {
    if (request_seconds_.at(type).is_empty()) continue;
    request_seconds_.at(type).AppendTo(text, "zerocloud_request_seconds",
                                       fmt::format("type=\"{}\"", kTypes.at(type)));
  }
  for (const auto& [name, counter] :
       {std::pair<std::string_view, const Counter*>("zerocloud_received_bytes_total", &bytes_in_),
        {"zerocloud_sent_bytes_total", &bytes_out_}}) {
    AppendHead(text, name);
    text += fmt::format("{} {}\n", name, counter->load(kRelaxed));
  }
}

void Metrics::AppendJobs(std::string& text) const {
  AppendHead(text, "zerocloud_jobs_total");
  for (std::size_t status = 0; status < kStatuses; ++status) {
    const std::uint64_t count = jobs_.at(status).load(kRelaxed);
    if (count == 0) continue;
    text += fmt::format("zerocloud_jobs_total{{status=\"{}\"}} {}\n", status, count);
  }
  AppendHead(text, "zerocloud_job_seconds");
  job_seconds_.AppendTo(text, "zerocloud_job_seconds", "");
  sessions_.AppendTo(text, "zerocloud_sessions_total", "zerocloud_session_seconds");
  AppendHead(text, "zerocloud_input_sessions_total");
  text +=
      fmt::format("zerocloud_input_sessions_total{{place=\"local\"}} {}\n", local_.load(kRelaxed));
  text += fmt::format("zerocloud_input_sessions_total{{place=\"remote\"}} {}\n",
                      remote_.load(kRelaxed));
}

std::string Metrics::Text() const {
  std::string text;
  AppendStart(text, version_, started_);
  AppendRequests(text);
  AppendJobs(text);
  AppendSources(text, sources_);
  return text;
}

}  // namespace zerocloud::operations
