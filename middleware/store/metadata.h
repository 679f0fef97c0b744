// User metadata in request headers: which names, which limits, and how folders' headers are set and
// removed one by one while an object's are replaced together. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "middleware/http/message.h"
#include "middleware/store/description.h"

namespace zerocloud::store {

// As /info tells them; the defaults are Swift's.
struct ApiLimits {
  std::size_t max_meta_name_length = 128;
  std::size_t max_meta_value_length = 256;
  std::size_t max_meta_count = 90;
  std::size_t max_meta_overall_size = 4096;
  std::size_t listing_limit = 10'000;
};

// "foo-BAR" -> "Foo-Bar", so that one name has one spelling.
[[nodiscard]] std::string TitleCase(std::string_view name);

// The X-Object-Meta-* of a request, names without that prefix. kInvalid names the limit.
[[nodiscard]] Result<Fields> ObjectMetadata(const http::Headers& headers, const ApiLimits& limits);

// Applies X-<kind>-Meta-* (an empty value removes) and X-Remove-<kind>-Meta-*, and for containers
// X-Container-Read and -Write, to what is kept. `kind` is "Container" or "Account".
[[nodiscard]] Result<void> ChangeFolderHeaders(const http::Headers& headers, std::string_view kind,
                                               const ApiLimits& limits, Fields& kept);

}  // namespace zerocloud::store
