#include "middleware/store/acl.h"

#include <algorithm>

#include "middleware/http/text.h"

namespace zerocloud::store {
namespace {

// The host of "http://user@host:port/path"; "unknown" where there is none.
std::string HostOf(std::string_view referer) {
  const auto scheme = referer.find("://");
  if (scheme == std::string_view::npos) return "unknown";
  std::string_view host = referer.substr(scheme + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (const auto at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  host = host.substr(0, host.find(':'));
  return host.empty() ? "unknown" : http::ToLower(host);
}

bool IsReferrerKey(std::string_view key) {
  return key == ".r" || key == ".ref" || key == ".referer" || key == ".referrer";
}

std::unexpected<Error> BadElement(std::string_view element, std::string_view why) {
  return Fail(ErrorCode::kInvalid,
              "access list element '" + std::string(element) + "': " + std::string(why));
}

}  // namespace

Acl Acl::Parse(std::string_view text) {
  Acl acl;
  for (const std::string_view element : http::SplitTrimmed(text, ',')) {
    if (element == ".rlistings") {
      acl.referred_may_list = true;
    } else if (element.starts_with(".r:")) {
      std::string_view host = element.substr(3);
      const bool is_denied = host.starts_with('-');
      if (is_denied) host.remove_prefix(1);
      acl.referrers.push_back({http::ToLower(host), is_denied});
    } else {
      acl.groups.emplace_back(element);
    }
  }
  return acl;
}

bool Acl::AllowsReferrer(std::string_view referer) const {
  bool is_allowed = false;
  const std::string host = HostOf(referer);
  for (const Referrer& referrer : referrers) {
    const bool fits = referrer.host == "*" || referrer.host == host ||
                      (referrer.host.starts_with('.') && host.ends_with(referrer.host));
    if (fits) is_allowed = !referrer.is_denied;
  }
  return is_allowed;
}

bool Acl::AllowsAnyOf(const std::vector<std::string>& user_groups) const {
  return std::ranges::any_of(user_groups, [&](const std::string& group) {
    return std::ranges::find(groups, group) != groups.end();
  });
}

Result<std::string> NormalizeAcl(std::string_view text, bool is_write) {
  std::string canonical;
  for (const std::string_view element : http::SplitTrimmed(text, ',')) {
    std::string clean(element);
    if (element.starts_with('.') && element != ".rlistings") {
      const auto colon = element.find(':');
      const std::string_view key = http::Trim(element.substr(0, colon));
      if (colon == std::string_view::npos || !IsReferrerKey(key)) {
        return BadElement(element,
                          "unknown; expected .r:HOST, .rlistings, ACCOUNT or ACCOUNT:USER");
      }
      if (is_write) return BadElement(element, "referrers are not allowed in X-Container-Write");
      std::string_view host = http::Trim(element.substr(colon + 1));
      const bool is_denied = host.starts_with('-');
      if (is_denied) host = http::Trim(host.substr(1));
      if (host.starts_with("*.")) host.remove_prefix(1);
      if (host.empty() || host == ".") return BadElement(element, "names no host");
      clean = std::string(".r:") + (is_denied ? "-" : "") + std::string(host);
    } else if (element == ".rlistings" && is_write) {
      return BadElement(element, "referrers are not allowed in X-Container-Write");
    }
    if (!canonical.empty()) canonical.push_back(',');
    canonical += clean;
  }
  return canonical;
}

}  // namespace zerocloud::store
