// One page of a Swift listing (format=json). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/object_store.h"

namespace zerocloud::upstream {

// What stands in each object of the array that has a "name", in order; entries without one
// ("subdir") are left out. Stops after `most` of them: what follows is not looked at, so that
// whoever has a limit asks for one more than that. `last_modified` is as X-Timestamp has it, empty
// if it is none; `listed` is not set. kUnavailable: this is not such a listing, so the endpoint is
// not what it seems.
Result<std::vector<store::ListedObject>> ParseListingPage(std::string_view json, std::size_t most);

}  // namespace zerocloud::upstream
