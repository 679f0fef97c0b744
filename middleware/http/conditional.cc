#include "middleware/http/conditional.h"

#include "middleware/http/date.h"
#include "middleware/http/text.h"

namespace zerocloud::http {

std::string_view StripQuotes(std::string_view etag) {
  etag = Trim(etag);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    return etag.substr(1, etag.size() - 2);
  }
  return etag;
}

bool MatchesEtag(std::string_view field, std::string_view etag) {
  for (std::string_view tag : SplitTrimmed(field, ',')) {
    if (tag == "*") return true;
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (EqualsIgnoringCase(StripQuotes(tag), etag)) return true;
  }
  return false;
}

Precondition EvaluatePreconditions(const Headers& headers, std::string_view etag,
                                   std::int64_t last_modified) {
  if (const auto match = headers.Get("If-Match")) {
    if (!MatchesEtag(*match, etag)) return Precondition::kFailed;
  } else if (const auto unmodified = headers.Get("If-Unmodified-Since")) {
    if (const auto date = ParseDate(*unmodified); date && last_modified > *date) {
      return Precondition::kFailed;
    }
  }
  if (const auto none = headers.Get("If-None-Match")) {
    if (MatchesEtag(*none, etag)) return Precondition::kNotModified;
  } else if (const auto modified = headers.Get("If-Modified-Since")) {
    if (const auto date = ParseDate(*modified); date && last_modified <= *date) {
      return Precondition::kNotModified;
    }
  }
  return Precondition::kHolds;
}

bool RangeApplies(const Headers& headers, std::string_view etag, std::int64_t last_modified) {
  const auto field = headers.Get("If-Range");
  if (!field) return true;
  if (const auto date = ParseDate(*field)) return last_modified <= *date;
  return !Trim(*field).starts_with("W/") && EqualsIgnoringCase(StripQuotes(*field), etag);
}

}  // namespace zerocloud::http
