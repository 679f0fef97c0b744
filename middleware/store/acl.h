// Container access lists, as X-Container-Read and X-Container-Write hold them: "account:user" and
// "account" give a right to users, ".r:*", ".r:example.com", ".r:.example.com" and ".r:-evil.com"
// to whoever a page of that host refers (the last that fits decides), ".rlistings" lets those list.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::store {

struct Acl {
  struct Referrer {
    std::string host;  // "*", "example.com", or ".example.com" for all below it
    bool is_denied = false;
  };
  std::vector<Referrer> referrers;
  std::vector<std::string> groups;
  bool referred_may_list = false;

  // Of a stored, already normalised list; elements it does not know give no right.
  [[nodiscard]] static Acl Parse(std::string_view text);

  [[nodiscard]] bool AllowsReferrer(std::string_view referer) const;
  [[nodiscard]] bool AllowsAnyOf(const std::vector<std::string>& user_groups) const;
};

// The canonical text of a list that a user wrote, or kInvalid with the element that is wrong.
// Referrers have no place in a write list.
[[nodiscard]] Result<std::string> NormalizeAcl(std::string_view text, bool is_write);

}  // namespace zerocloud::store
