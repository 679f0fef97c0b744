// One page of a Swift listing (format=json). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/object_store.h"

namespace zerocloud::upstream {

// What stands in each object of the array that has a "name", in order; entries without one
// ("subdir") are left out. `last_modified` is as X-Timestamp has it, empty if it is none; `listed`
// is not set. kUnavailable: this is not such a listing, so the endpoint is not what it seems.
Result<std::vector<store::ListedObject>> ParseListingPage(std::string_view json);

}  // namespace zerocloud::upstream
