// Values that several payloads have in common, and their limits. Private to this folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/job/job_limits.h"
#include "middleware/peer/frame.h"
#include "middleware/remote/json_reader.h"
#include "middleware/remote/json_writer.h"
#include "middleware/store/object_store.h"

namespace zerocloud::remote {

// Longest texts that are taken; each is beyond what the other side makes.
inline constexpr std::size_t kNameBytes = 4096;
inline constexpr std::size_t kTokenBytes = 64 << 10;
inline constexpr std::size_t kMessageBytes = 64 << 10;
inline constexpr std::size_t kTailBytes = job::kMostStderrTailBytes;
inline constexpr std::uint64_t kLongestMs = job::kMostSessionSeconds * 1000;
// JSON writes a control character with six bytes; the rest of a report has as much again.
static_assert(6 * kTailBytes <= peer::kMaxJsonBytes / 2);
static_assert(job::JobLimits{}.nvram_bytes <= kTailBytes);

std::string ReadSha256(JsonReader& reader);  // the member "sha256"

// Ids that NewId() makes.
std::string ReadId(JsonReader& reader, std::string_view name);
std::vector<std::string> ReadIds(JsonReader& reader, std::string_view name, std::size_t most);
void WriteIds(JsonWriter& json, std::string_view name, const std::vector<std::string>& ids);

// "account", "user", "token" and "trace"; the latter two can be values of headers.
store::Caller ReadCaller(JsonReader& reader);
void WriteCaller(JsonWriter& json, const store::Caller& caller);

// "account", "container" and "object"; `name` is the first member's.
store::ObjectPath ReadPath(JsonReader& reader, std::string_view account);
void WritePath(JsonWriter& json, std::string_view account, const store::ObjectPath& path);

// Holds nothing that ends a header's value.
bool IsHeaderValue(std::string_view text);

}  // namespace zerocloud::remote
