// Manifest: the text that describes one session, parsed into values. Source of the format: ZeroVM's
// manifest, version 20130611; docs/manifest.md has every key and limit. Pure: opens nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/channel_parse.h"
#include "channels/channel_spec.h"
#include "channels/host_status.h"

namespace zerocloud::runtime {

inline constexpr std::string_view kManifestVersion = "20130611";
inline constexpr std::size_t kMaxManifestSize = std::size_t{512} << 10;
inline constexpr std::size_t kMaxManifestLines = 8192;
inline constexpr std::int64_t kMaxMemorySize = std::int64_t{4} << 30;
inline constexpr std::int64_t kMaxTimeout = INT32_MAX;  // seconds
// A path of a unix socket has room for this and its NUL.
inline constexpr std::size_t kMaxJobSize = 107;

// A line that means nothing here but looks as if it should.
struct ManifestWarning {
  std::size_t line = 0;  // from 1
  std::string message;
  friend bool operator==(const ManifestWarning&, const ManifestWarning&) = default;
};

// A channel that the guest finds in its memory (mapped.h).
struct MappedAlias {
  std::string alias;
  bool is_immutable = false;  // the file never changes, by the word of who wrote the manifest
  friend bool operator==(const MappedAlias&, const MappedAlias&) = default;
};

struct Manifest {
  std::string program;  // host path, relative to the working directory or absolute
  std::uint64_t memory_size = 0;
  bool wants_memory_digest = false;
  std::int64_t timeout_seconds = 0;
  std::vector<channels::ChannelSpec> channels;  // in handle order, each with its line

  std::optional<std::int64_t> node;
  std::optional<channels::NetworkAddress> name_server;
  std::optional<std::string> job;
  std::optional<std::string> etag;  // without effect
  std::vector<MappedAlias> mapped;
  bool wants_readiness = false;

  std::size_t program_line = 0, memory_line = 0;    // from 1
  std::size_t mapped_line = 0, readiness_line = 0;  // 0: not there

  std::vector<ManifestWarning> warnings;
};

// A message begins with "MANIFEST <line>: <key>: ", or "MANIFEST: " where no single line is at
// fault.
channels::HostResult<Manifest> ParseManifest(std::string_view text);

// Everything that is wrong with a manifest, for people who write one. `errors` is empty exactly
// when ParseManifest() accepts the text, and begins with what it says otherwise.
struct ManifestCheck {
  struct Mistake {
    std::size_t line = 0;  // from 1; 0 where no single line is at fault
    channels::HostError error;
  };
  std::vector<Mistake> errors;  // in the order of lines, those without one last
  std::vector<ManifestWarning> warnings;
};
ManifestCheck CheckManifest(std::string_view text);

}  // namespace zerocloud::runtime
