#include "middleware/store/listing.h"

#include <algorithm>

namespace zerocloud::store {

std::string AfterPrefix(std::string_view prefix) {
  std::string after(prefix);
  while (!after.empty()) {
    const auto last = static_cast<unsigned char>(after.back());
    if (last != 0xff) {
      after.back() = static_cast<char>(last + 1);
      return after;
    }
    after.pop_back();
  }
  return after;
}

namespace {

// What becomes of one row.
struct Step {
  enum class Kind { kEntry, kSubdir, kSkip } kind;
  std::string folder;  // for kSubdir and kSkip: everything below it is passed over
};

Step Classify(const ListingQuery& query, const std::string& name) {
  if (query.delimiter.empty()) return {Step::Kind::kEntry, {}};
  const auto at = name.find(query.delimiter, query.prefix.size());
  if (at == std::string::npos) return {Step::Kind::kEntry, {}};
  std::string folder = name.substr(0, at + query.delimiter.size());
  if (!query.path) return {Step::Kind::kSubdir, std::move(folder)};
  // A pseudo-folder listing shows the object "a/b/" that stands for a folder, not what is in it.
  if (folder.size() == name.size()) return {Step::Kind::kEntry, {}};
  return {Step::Kind::kSkip, std::move(folder)};
}

}  // namespace

Result<std::vector<ListingEntry>> WalkListing(ListingQuery query, const RowSource& rows) {
  if (query.path) {
    query.prefix = *query.path;
    while (query.prefix.ends_with('/')) query.prefix.pop_back();
    if (!query.prefix.empty()) query.prefix.push_back('/');
    query.delimiter = "/";
  }
  // Names hold no NUL, so name + NUL is the first string after it.
  const std::string& after = query.reverse ? query.end_marker : query.marker;
  const std::string& before = query.reverse ? query.marker : query.end_marker;
  std::string low = query.prefix;
  if (!after.empty()) low = std::max(low, after + '\0');
  std::string high = AfterPrefix(query.prefix);
  if (!before.empty() && (high.empty() || before < high)) high = before;

  std::vector<ListingEntry> entries;
  bool is_done = query.limit == 0;
  while (!is_done && (high.empty() || low < high)) {
    std::string jump;  // a folder to pass over: the source is asked anew
    const auto taken = rows(low, high, query.reverse, [&](ListingEntry row) {
      if (query.path && row.name == query.prefix) return true;
      Step step = Classify(query, row.name);
      if (step.kind == Step::Kind::kEntry) {
        entries.push_back(std::move(row));
      } else {
        // A page that began at this very subdir has shown it already.
        if (step.kind == Step::Kind::kSubdir && step.folder != query.marker) {
          ListingEntry subdir;
          subdir.name = step.folder;
          subdir.is_subdir = true;
          entries.push_back(std::move(subdir));
        }
        jump = std::move(step.folder);
      }
      return jump.empty() && entries.size() < query.limit;
    });
    if (!taken) return Fail(taken);
    is_done = jump.empty() || entries.size() >= query.limit;
    if (query.reverse) {
      high = std::move(jump);
    } else {
      low = AfterPrefix(jump);
    }
  }
  return entries;
}

}  // namespace zerocloud::store
