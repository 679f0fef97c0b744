#include "middleware/swift/hash_files.h"

#include <algorithm>
#include <optional>

namespace zerocloud::swift {
namespace {

constexpr std::size_t kTimeLength = 16;    // 1795408230.28699
constexpr std::size_t kOffsetLength = 17;  // _0000000000000001

bool IsHex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

struct FileName {
  store::Timestamp time;
  bool has_offset = false;
  std::string_view rest;       // between the time and the extension
  std::string_view extension;  // with its dot
};

std::optional<FileName> Parse(std::string_view name) {
  if (name.size() < kTimeLength) return std::nullopt;
  const std::optional<store::Timestamp> time = store::Timestamp::Parse(name.substr(0, kTimeLength));
  const std::size_t dot = name.rfind('.');
  if (!time || dot < kTimeLength) return std::nullopt;
  FileName parsed{.time = *time,
                  .rest = name.substr(kTimeLength, dot - kTimeLength),
                  .extension = name.substr(dot)};
  if (parsed.rest.starts_with('_')) {
    const std::string_view offset = parsed.rest.substr(1, kOffsetLength - 1);
    if (offset.size() != kOffsetLength - 1 || !IsHex(offset)) return std::nullopt;
    parsed.has_offset = true;
    parsed.rest.remove_prefix(kOffsetLength);
  }
  return parsed;
}

}  // namespace

Result<HashFiles> ChooseFiles(std::span<const std::string> names) {
  std::optional<FileName> data;
  std::string_view data_name;
  std::optional<store::Timestamp> deleted;
  for (const std::string& name : names) {
    const std::optional<FileName> file = Parse(name);
    if (!file) continue;  // .lock, temporary files, and whatever is none of Swift's
    if (file->extension == ".ts") deleted = std::max(deleted, std::optional(file->time));
    if (file->extension == ".durable") {
      return Fail(ErrorCode::kInvalid, "it is erasure coded");
    }
    if (file->extension != ".data") continue;
    if (file->rest.starts_with('#')) return Fail(ErrorCode::kInvalid, "it is erasure coded");
    if (!file->rest.empty()) continue;
    if (file->has_offset) {
      return Fail(ErrorCode::kInvalid, "it was moved or versioned by Swift itself");
    }
    if (!data || file->time > data->time) {
      data = file;
      data_name = name;
    }
  }
  if (!data) return Fail(ErrorCode::kNotFound, "no replica of it is on this host");
  if (deleted >= data->time) return Fail(ErrorCode::kNotFound, "it was deleted on this host");
  HashFiles chosen{.data = std::string(data_name), .time = data->time, .metas = {}};
  for (const std::string& name : names) {
    const std::optional<FileName> file = Parse(name);
    if (file && file->extension == ".meta" && file->time >= data->time) {
      chosen.metas.push_back(name);
    }
  }
  return chosen;
}

}  // namespace zerocloud::swift
