// One page of a Swift listing (format=json): the names in it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::upstream {

// The "name" of each object of the array, in order; entries without one ("subdir") are left out.
// kUnavailable: this is not such a listing, so the endpoint is not what it seems.
Result<std::vector<std::string>> ParseListingPage(std::string_view json);

}  // namespace zerocloud::upstream
