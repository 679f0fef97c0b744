#include "middleware/upstream/upstream_handler.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <mutex>
#include <utility>

#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::upstream {
namespace {

constexpr std::size_t kMaxInfoBytes = 1 << 20;

std::string_view TrimLines(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t start = std::min(text.find_first_not_of(kSpace), text.size());
  return text.substr(start, text.find_last_not_of(kSpace) + 1 - start);
}

struct Pending {
  std::mutex mutex;
  std::function<void(http::Response)> done;  // null: the client has gone
};

}  // namespace

namespace {

Result<UpstreamUrl> ParseUpstreamUrl(std::string_view url) {
  const auto fail = [url](std::string_view why) {
    return Fail(ErrorCode::kInvalid,
                "zerocloud.upstream: \"" + std::string(url) + "\" " + std::string(why));
  };
  std::string_view rest = url;
  UpstreamUrl parsed;
  parsed.is_tls = http::StartsWithIgnoringCase(rest, "https://");
  if (!parsed.is_tls && !http::StartsWithIgnoringCase(rest, "http://")) {
    return fail("does not begin with http:// or https://.");
  }
  rest.remove_prefix(rest.find("//") + 2);
  parsed.port = parsed.is_tls ? 443 : 80;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@ \t\r\n") != std::string_view::npos) {
    return fail("must be http://host:port and nothing after it.");
  }
  parsed.origin = (parsed.is_tls ? "https://" : "http://") + std::string(rest);
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return fail("has no ']'.");
    parsed.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
  } else {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    parsed.host = rest.substr(0, colon);
    port = rest.substr(colon);
  }
  if (parsed.host.empty()) return fail("has no host.");
  if (port.empty()) return parsed;
  const auto [end, error] =
      std::from_chars(port.data() + 1, port.data() + port.size(), parsed.port);
  const bool is_port = port.front() == ':' && error == std::errc() &&
                       end == port.data() + port.size() && parsed.port != 0;
  if (!is_port) return fail("has no port from 1 to 65535 after the host.");
  return parsed;
}

}  // namespace

Result<std::vector<UpstreamUrl>> ParseUpstreamUrls(std::string_view urls) {
  std::vector<UpstreamUrl> all;
  for (const std::string_view url : http::SplitTrimmed(urls, ',')) {
    auto parsed = ParseUpstreamUrl(url);
    if (!parsed.has_value()) return Fail(parsed);
    all.push_back(std::move(*parsed));
  }
  if (all.empty()) return Fail(ErrorCode::kInvalid, "zerocloud.upstream: there is no URL.");
  return all;
}

class UpstreamHandler::InfoExchange : public http::Exchange {
 public:
  // What decides about CORS; nothing else about /info depends on the request.
  InfoExchange(UpstreamHandler& handler, const http::Headers& headers) : handler_(handler) {
    if (const auto origin = headers.Get("Origin")) headers_.Add("Origin", *origin);
  }
  InfoExchange(const InfoExchange&) = delete;
  InfoExchange& operator=(const InfoExchange&) = delete;
  ~InfoExchange() override {
    const std::lock_guard lock(pending_->mutex);
    pending_->done = nullptr;
  }

  Result<void> Write(std::span<const std::byte>) override { return {}; }
  void Finish(std::function<void(http::Response)> done) override {
    pending_->done = std::move(done);
    handler_.workers_.Run([handler = &handler_, pending = pending_, headers = std::move(headers_)] {
      {
        const std::lock_guard lock(pending->mutex);
        if (!pending->done) return;  // its client has left
      }
      http::Response response = handler->Info(headers);
      const std::lock_guard lock(pending->mutex);
      if (pending->done) std::exchange(pending->done, nullptr)(std::move(response));
    });
  }

 private:
  UpstreamHandler& handler_;
  http::Headers headers_;
  std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
};

http::Response UpstreamHandler::Info(const http::Headers& headers) {
  std::string text;
  ClientRequest request{
      .method = "GET", .url = origin_ + "/info", .headers = headers, .on_body = {}};
  request.on_body =
      KeepBody(text, kMaxInfoBytes, {ErrorCode::kUnavailable, "The upstream's /info is too long."});
  const Result<ClientReply> reply = client_.Send(request);
  if (!reply.has_value()) {
    const int status = reply.error().code == ErrorCode::kTimeout ? 504 : 502;
    return http::TextResponse(status, reply.error().message);
  }
  http::Response response;
  const std::string_view trimmed = TrimLines(text);
  // An endpoint without /info, or which keeps it to itself, is still one that jobs can use.
  const bool has_none = reply->status == 403 || reply->status == 404 || reply->status == 405;
  if (reply->status != 200 && !has_none) {
    response = http::TextResponse(reply->status, "The upstream does not tell its /info now.");
    for (const char* name : {"Retry-After", "WWW-Authenticate"}) {
      if (const auto value = reply->headers.Get(name)) response.headers.Set(name, *value);
    }
    return response;
  }
  response.headers.Add("Content-Type", "application/json; charset=UTF-8");
  if (has_none || !trimmed.ends_with('}')) {
    response.text = "{\"" + name_ + "\": " + section_ + "}";
    return response;
  }
  const std::string_view head = TrimLines(trimmed.substr(0, trimmed.size() - 1));
  response.text =
      std::string(head) + (head == "{" ? "\"" : ", \"") + name_ + "\": " + section_ + "}";
  return response;
}

http::Handler::Begun UpstreamHandler::Begin(const http::RequestHead& head) {
  const bool is_info = head.target == "/info" && (head.method == "GET" || head.method == "HEAD");
  if (!is_info) return http::Forward{};
  return std::make_unique<InfoExchange>(*this, head.headers);
}

}  // namespace zerocloud::upstream
