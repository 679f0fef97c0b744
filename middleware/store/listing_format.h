// Listings as clients read them: lines, JSON or XML. Pure.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/http/message.h"
#include "middleware/http/target.h"
#include "middleware/store/listing.h"

namespace zerocloud::store {

enum class ListingFormat { kPlain, kJson, kXml };
enum class ListingOf { kContainers, kObjects };

// By format= of the query, else by Accept. The refusal is 406.
[[nodiscard]] std::expected<ListingFormat, http::Response> ChooseFormat(
    const http::Query& query, const http::Headers& headers);

// The parameters of a listing. The refusal is 412 (limit too large) or 400 (not UTF-8).
[[nodiscard]] std::expected<ListingQuery, http::Response> ReadListingQuery(const http::Query& query,
                                                                           std::size_t max_limit);

// Status (204 for no lines), Content-Type and body. `name` is the account's or the container's.
[[nodiscard]] http::Response RenderListing(const std::vector<ListingEntry>& entries,
                                           ListingFormat format, ListingOf what,
                                           std::string_view name);

}  // namespace zerocloud::store
