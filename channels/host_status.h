// HostStatus: why a session could not be started or did not end by itself, as the exit code of the
// `zerovm` program. The numbers are ZeroVM's (Linux errno numbers), so that its tools go on
// working; one table, kHostStatuses, holds them all.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "channels/base/error.h"

namespace zerocloud::channels {

enum class HostStatus : std::uint8_t {
  kOk = 0,
  kMissing = 2,
  kInterrupted = 4,
  kIo = 5,
  kRejected = 8,
  kUnavailable = 11,
  kMemory = 12,
  kDenied = 13,
  kManifest = 14,
  kUsage = 22,
  kTooManyChannels = 23,
  kStream = 32,
  kUnsupported = 93,
};

struct HostStatusRow {
  HostStatus status;
  std::string_view name;  // stable, for JSON
  std::string_view meaning;
};

inline constexpr HostStatusRow kHostStatuses[] = {
    {HostStatus::kOk, "ok", "the guest ended by itself, whatever its own exit code"},
    {HostStatus::kMissing, "missing", "no such manifest, program or output directory"},
    {HostStatus::kInterrupted, "interrupted", "a fault of the guest, the timeout, or a kill"},
    {HostStatus::kIo, "io",
     "the host could not read or write; an empty manifest; a special file as program"},
    {HostStatus::kRejected, "rejected", "the program is no guest program or fails verification"},
    {HostStatus::kUnavailable, "unavailable",
     "the host is out of processes, memory or descriptors; no name server or address"},
    {HostStatus::kMemory, "memory",
     "the manifest's Memory is out of range or too small for the program"},
    {HostStatus::kDenied, "denied", "no permission to open a file for writing"},
    {HostStatus::kManifest, "manifest", "the manifest is wrong, or an input cannot be opened"},
    {HostStatus::kUsage, "usage",
     "wrong command line, or a channel that is neither readable nor writable"},
    {HostStatus::kTooManyChannels, "too_many_channels", "more channels than a session may have"},
    {HostStatus::kStream, "stream", "a network stream was cut off or had a wrong digest"},
    {HostStatus::kUnsupported, "unsupported", "a channel source of a kind that cannot be used"},
};

constexpr std::string_view ToString(HostStatus status) {
  for (const HostStatusRow& row : kHostStatuses) {
    if (row.status == status) return row.name;
  }
  return "io";
}

// An Error together with the exit code that goes with it.
struct HostError {
  HostStatus status = HostStatus::kIo;
  Error error;
  friend bool operator==(const HostError&, const HostError&) = default;
};

template <typename T>
using HostResult = std::expected<T, HostError>;

inline std::unexpected<HostError> FailHost(HostStatus status, ErrorCode code, std::string message) {
  return std::unexpected(HostError{status, Error{code, std::move(message)}});
}

}  // namespace zerocloud::channels
