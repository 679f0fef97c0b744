// Swift: its proxies, its clock, its devices on this host.
#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "middleware/doctor/checks.h"
#include "middleware/http/date.h"
#include "middleware/http/text.h"
#include "middleware/swift/local_objects.h"
#include "middleware/upstream/http_client.h"
#include "middleware/upstream/upstream_handler.h"

namespace zerocloud::doctor {
namespace {

constexpr std::size_t kMaxInfoBytes = 1 << 20;

// What is wanted of /info: the names of its sections, and Swift's version.
class InfoReader : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, InfoReader> {
 public:
  std::set<std::string, std::less<>> sections;
  std::string version;

  bool StartObject() {
    ++depth_;
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    --depth_;
    return true;
  }
  bool StartArray() { return depth_++ > 0; }  // all of it is an object
  bool EndArray(rapidjson::SizeType) {
    --depth_;
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    key_.assign(text, size);
    if (depth_ == 1) {
      section_ = key_;
      sections.insert(key_);
    }
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ == 2 && section_ == "swift" && key_ == "version") version.assign(text, size);
    return depth_ > 0;
  }

 private:
  int depth_ = 0;
  std::string section_, key_;
};

std::optional<InfoReader> ReadInfo(std::string_view text) {
  InfoReader handler;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  if (!reader.Parse<kFlags>(stream, handler)) return std::nullopt;
  return handler;
}

// `asked`: this host's time when the request was sent; the answer may have taken a while.
void CheckClock(const std::string& origin, const upstream::ClientReply& reply, std::time_t asked,
                Findings& findings) {
  const std::string date(reply.headers.Get("Date").value_or(""));
  const std::optional<std::int64_t> theirs = http::ParseDate(date);
  if (!theirs.has_value()) {
    findings.push_back(
        {"clock", State::kWarning, origin + " tells no Date", "compare the clocks by hand"});
    return;
  }
  const std::int64_t ahead = -SecondsAhead(*theirs, asked);
  const std::string found = fmt::format("this host's clock is {} seconds {} that of {}",
                                        std::abs(ahead), ahead < 0 ? "behind" : "ahead of", origin);
  if (std::abs(ahead) <= kNoticedSeconds) {
    findings.push_back(
        {"clock", State::kGood, "this host's clock agrees with that of " + origin, ""});
  } else {
    findings.push_back({"clock",
                        std::abs(ahead) > kHarmfulSeconds ? State::kWrong : State::kWarning, found,
                        "let NTP set both: Swift orders versions by time, and temporary URLs and "
                        "expiring objects go by it"});
  }
}

void CheckInfo(const std::string& origin, const std::string& text, int status, Findings& findings) {
  const std::optional<InfoReader> info = ReadInfo(text);
  if (status != 200 || !info.has_value()) {
    findings.push_back({"upstream", State::kWarning,
                        fmt::format("{} answers /info with {} and {}", origin, status,
                                    info.has_value() ? "JSON" : "what is no JSON object"),
                        "expose_info = true in Swift's proxy; or this is no Swift proxy"});
    return;
  }
  if (info->sections.contains("zerocloud")) {
    findings.push_back({"upstream", State::kWarning, origin + " is itself a zerocloud",
                        "let zerocloud.upstream name Swift's proxy: jobs are to run here"});
    return;
  }
  if (!info->sections.contains("swift")) {
    findings.push_back({"upstream", State::kWarning, origin + " does not call itself Swift",
                        "only Swift's API is spoken"});
    return;
  }
  findings.push_back(
      {"upstream", State::kGood, fmt::format("{} is Swift {}", origin, info->version), ""});
}

void CheckOrigin(upstream::HttpClient& client, const std::string& origin, Findings& findings) {
  std::string text;
  upstream::ClientRequest request{
      .method = "GET", .url = origin + "/info", .headers = {}, .on_body = {}};
  request.on_body = upstream::KeepBody(
      text, kMaxInfoBytes, {ErrorCode::kLimitExceeded, "its /info has more than 1 MiB"});
  const std::time_t asked = std::time(nullptr);
  const Result<upstream::ClientReply> reply = client.Send(request);
  if (!reply.has_value()) {
    findings.push_back({"upstream", State::kWrong, origin + ": " + reply.error().message,
                        "start Swift's proxy, or correct zerocloud.upstream (with https "
                        "proxy.tls_authorities too)"});
    findings.push_back({"clock", State::kSkipped, origin + " does not answer", ""});
    return;
  }
  CheckInfo(origin, text, reply->status, findings);
  CheckClock(origin, *reply, asked, findings);
}

}  // namespace

std::int64_t SecondsAhead(std::int64_t theirs, std::int64_t asked) {
  const std::int64_t now = std::time(nullptr);
  return theirs > now ? theirs - now : std::min<std::int64_t>(0, theirs - asked);
}

void CheckUpstream(const config::Config& config, Findings& findings) {
  if (config.upstream.empty()) {
    findings.push_back({"upstream", State::kSkipped, "zerocloud.upstream is not set", ""});
    findings.push_back({"clock", State::kSkipped, "zerocloud.upstream is not set", ""});
    return;
  }
  const auto urls = upstream::ParseUpstreamUrls(config.upstream);
  if (!urls.has_value()) {
    findings.push_back({"upstream", State::kWrong, urls.error().message, ""});
    return;
  }
  for (const upstream::UpstreamUrl& url : *urls) {
    auto client = upstream::HttpClient::Start(
        {.connect_timeout = std::chrono::seconds(config.proxy.connect_timeout_seconds),
         .stall_timeout = std::chrono::seconds(
             std::min<std::uint64_t>(30, config.proxy.response_timeout_seconds)),
         .requests_at_once = 1,
         .origins = {url.origin},
         .tls_authorities = config.proxy.tls_authorities});
    if (!client.has_value()) {
      findings.push_back({"upstream", State::kWrong, client.error().message, ""});
    } else {
      CheckOrigin(**client, url.origin, findings);
    }
  }
}

void CheckDevices(const config::Config& config, Findings& findings) {
  const config::LocalSection& section = config.local;
  if (section.devices.empty()) {
    findings.push_back(
        {"devices", State::kSkipped, "local.devices is not set: all objects are read by HTTP", ""});
    return;
  }
  swift::LocalOptions options;
  options.devices_directory = section.devices;
  options.swift_directory = section.swift_dir;
  for (const std::string_view address : http::SplitTrimmed(section.addresses, ',')) {
    options.addresses.emplace_back(address);
  }
  if (section.endpoints) {
    options.ask_endpoints = [](const store::Caller&, const store::ObjectPath&) {
      return Result<std::string>();  // nothing is looked for here
    };
  }
  const auto local = swift::LocalObjects::Open(std::move(options));
  if (!local.has_value()) {
    findings.push_back(
        {"devices", State::kWrong, local.error().message,
         "local.devices is `devices` of the object server, local.swift_dir has "
         "swift.conf and object*.ring.gz; the service's user must be in Swift's group: "
         "usermod -aG swift zerocloud"});
    return;
  }
  if (section.endpoints) {
    findings.push_back({"devices", State::kGood,
                        "swift.conf can be read; which devices hold an object is asked of the "
                        "upstream (local.endpoints)",
                        ""});
    return;
  }
  const std::vector<swift::DeviceState> states = (*local)->Devices();
  if (states.empty()) {
    findings.push_back({"devices", State::kWrong, "the rings place no device on this host",
                        "local.addresses must name this host as the rings do (swift-ring-builder "
                        "object.builder); or leave local.devices empty here"});
  }
  for (const swift::DeviceState& state : states) {
    findings.push_back({"devices", state.why_not.empty() ? State::kGood : State::kWrong,
                        fmt::format("device {} of policy {}{}{}", state.name, state.policy,
                                    state.why_not.empty() ? " can be read" : ": ", state.why_not),
                        state.why_not.empty()
                            ? ""
                            : "mount it at local.devices, not by a symbolic link; the service's "
                              "user must be in Swift's group: usermod -aG swift zerocloud"});
  }
}

}  // namespace zerocloud::doctor
