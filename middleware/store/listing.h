// A page of a listing: what is asked for, what comes out, and the walk that turns rows in byte
// order into entries and "subdirs". Pure but for the row source it is given.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/timestamp.h"

namespace zerocloud::store {

// All bounds are exclusive and in byte order; empty: none.
struct ListingQuery {
  std::string prefix;
  std::string delimiter;  // of any length
  std::string marker;     // names after it, in the order of the listing
  std::string end_marker;
  std::size_t limit = 10'000;
  bool reverse = false;
  // Swift's old pseudo-folder listing: only what lies directly in `path`; "" is the top.
  std::optional<std::string> path;
};

// An object, a container, or the common beginning of several names up to a delimiter (a subdir).
struct ListingEntry {
  std::string name;
  bool is_subdir = false;
  std::uint64_t bytes = 0;
  std::uint64_t objects = 0;  // containers only
  std::string etag;           // objects only
  std::string content_type;   // objects only
  Timestamp timestamp;
};

// Gives rows with low <= name < high in byte order (or backwards), until `take` returns false.
// `high` empty: no upper bound.
using TakeRow = std::function<bool(ListingEntry)>;
using RowSource = std::function<Result<void>(const std::string& low, const std::string& high,
                                             bool reverse, const TakeRow& take)>;

[[nodiscard]] Result<std::vector<ListingEntry>> WalkListing(ListingQuery query,
                                                            const RowSource& rows);

// The first string after all that begin with `prefix`; empty: there is none.
[[nodiscard]] std::string AfterPrefix(std::string_view prefix);

}  // namespace zerocloud::store
