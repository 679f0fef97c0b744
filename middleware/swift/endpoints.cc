#include "middleware/swift/endpoints.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <charconv>
#include <optional>
#include <utility>

namespace zerocloud::swift {
namespace {

constexpr std::string_view kPolicyField = "X-Backend-Storage-Policy-Index";
constexpr unsigned kMaxPolicy = 10'000;

template <typename Number>
std::optional<Number> WholeNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Up to the next '/', which is taken too; none: there is none.
std::optional<std::string_view> TakeStep(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view step = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  return step;
}

// "10.0.0.1:6200" or "[fd00::1]:6200".
std::optional<std::string_view> AddressOf(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || !WholeNumber<std::uint16_t>(authority.substr(colon + 1))) {
    return std::nullopt;
  }
  authority = authority.substr(0, colon);
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty()) return std::nullopt;
  return authority;
}

// "http://address:port/device/partition/account/container/object".
std::optional<Endpoint> ParseEndpoint(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!url.starts_with(scheme)) continue;
    url.remove_prefix(scheme.size());
    const auto authority = TakeStep(url);
    const auto device = TakeStep(url);
    const auto partition = TakeStep(url);
    if (!authority || !device || !partition) return std::nullopt;
    const auto address = AddressOf(*authority);
    const auto number = WholeNumber<std::uint32_t>(*partition);
    const bool is_component =
        !device->empty() && *device != "." && *device != ".." && !device->contains('\0');
    if (!address || !number || !is_component) return std::nullopt;
    return Endpoint{std::string(*address), std::string(*device), *number};
  }
  return std::nullopt;
}

// {"endpoints": [text...], "headers": {name: text...}}; other members of the outermost object are
// left out if they are no lists or objects.
class Collector {
 public:
  using Ch = char;

  std::vector<std::string> urls;
  std::optional<std::string> policy;
  bool has_endpoints = false;
  bool has_headers = false;
  bool has_too_many = false;

  bool Null() { return Other(); }
  bool Bool(bool) { return Other(); }
  bool Int(int) { return Other(); }
  bool Uint(unsigned) { return Other(); }
  bool Int64(std::int64_t) { return Other(); }
  bool Uint64(std::uint64_t) { return Other(); }
  bool Double(double) { return Other(); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (is_in_list_) {
      has_too_many = urls.size() == kMaxEndpoints;
      if (has_too_many) return false;
      urls.emplace_back(text, size);
    } else if (depth_ == 2 && key_ == kPolicyField) {
      policy.emplace(text, size);
    }
    return depth_ > 0;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    key_.assign(text, size);
    return true;
  }
  bool StartArray() {
    if (depth_ != 1 || key_ != "endpoints" || has_endpoints) return false;
    has_endpoints = is_in_list_ = true;
    ++depth_;
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    is_in_list_ = false;
    --depth_;
    return true;
  }
  bool StartObject() {
    if (depth_ == 1 && (key_ != "headers" || has_headers)) return false;
    if (depth_ == 1) has_headers = true;
    return ++depth_ <= 2;
  }
  bool EndObject(rapidjson::SizeType) {
    --depth_;
    return true;
  }

 private:
  // A value that is no text.
  [[nodiscard]] bool Other() const {
    return depth_ > 0 && !is_in_list_ && (depth_ == 1 || key_ != kPolicyField);
  }

  int depth_ = 0;
  bool is_in_list_ = false;
  std::string key_;  // whose value comes next
};

std::unexpected<Error> FailNotThat() {
  return Fail(ErrorCode::kInvalid,
              "the upstream's answer about its place is not what list_endpoints sends");
}

}  // namespace

Result<Endpoints> ParseEndpoints(std::string_view json) {
  if (json.size() > kMaxEndpointsBytes) {
    return Fail(ErrorCode::kLimitExceeded, "the upstream's answer about its place is too long");
  }
  Collector collector;
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse < rapidjson::kParseIterativeFlag |
                                        rapidjson::kParseValidateEncodingFlag > (stream, collector);
  if (collector.has_too_many) {
    return Fail(ErrorCode::kLimitExceeded, "the upstream says that it lies in too many places");
  }
  if (parsed.IsError() || !collector.has_endpoints || !collector.has_headers) return FailNotThat();
  Endpoints found;
  if (collector.policy.has_value()) {
    const auto index = WholeNumber<unsigned>(*collector.policy);
    if (!index || *index > kMaxPolicy) return FailNotThat();
    found.policy = *index;
  }
  for (const std::string& url : collector.urls) {
    std::optional<Endpoint> endpoint = ParseEndpoint(url);
    if (!endpoint) return FailNotThat();
    found.endpoints.push_back(std::move(*endpoint));
  }
  return found;
}

}  // namespace zerocloud::swift
