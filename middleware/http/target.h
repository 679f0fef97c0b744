// Request targets: percent-encoding, the query, and Swift's paths /v1/account/container/object.
// A path is opaque bytes once decoded: nothing is normalised, "//" and ".." are part of a name.
// Pure; hostile input is answered with nullopt or an Error, never more.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::http {

// "%41" -> "A". A '%' without two hex digits stands for itself, as in Swift. With
// `plus_is_space`, '+' is a space (queries, never paths).
[[nodiscard]] std::string PercentDecode(std::string_view text, bool plus_is_space = false);

// Everything but letters, digits and "-._~" becomes %XX; '/' stays when `keep_slash`.
[[nodiscard]] std::string PercentEncode(std::string_view text, bool keep_slash = true);
// The same, but the characters of `kept` stay.
[[nodiscard]] std::string PercentEncodeBut(std::string_view text, std::string_view kept);

// The parameters of a query, decoded, in order.
class Query {
 public:
  Query() = default;
  // `text` without the '?'. More than kMaxParameters parameters: those after are ignored.
  static constexpr std::size_t kMaxParameters = 256;
  [[nodiscard]] static Query Parse(std::string_view text);

  // The first parameter of that name; "a" and "a=" have the empty value.
  [[nodiscard]] std::optional<std::string_view> Get(std::string_view name) const;
  [[nodiscard]] bool Has(std::string_view name) const { return Get(name).has_value(); }
  // Every parameter, for a check over all values.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

// A target cut at the first '?'. An absolute-form target loses its scheme and authority.
struct Target {
  std::string path;  // still percent-encoded, begins with '/' unless the target was odd
  Query query;
};
[[nodiscard]] Target ParseTarget(std::string_view target);

// /v1/account[/container[/object]]. An empty container or object: the path ends before it.
struct StoragePath {
  std::string account;
  std::string container;
  std::string object;

  friend bool operator==(const StoragePath&, const StoragePath&) = default;
};

// From a percent-encoded path. nullopt: not under /v1/ or /v1.0/ at all. kInvalid: there, but
// malformed (NUL, not UTF-8, an empty account or an empty container before an object).
[[nodiscard]] std::optional<Result<StoragePath>> ParseStoragePath(std::string_view path);

// "container/object" or "/container/object", decoded already: what Destination and X-Copy-From
// hold.
struct ContainerAndObject {
  std::string container;
  std::string object;
};
[[nodiscard]] Result<ContainerAndObject> SplitContainerAndObject(std::string_view path,
                                                                 std::string_view header_name);

}  // namespace zerocloud::http
