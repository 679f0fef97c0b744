// Config: the file zvsh.cfg, with defaults for what a command line does not say. Pure. Source of
// the sections and keys: zvsh of zerovm-cli 0.9; docs/zvsh.md lists them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::zvsh {

inline constexpr std::size_t kMaxConfigSize = std::size_t{64} << 10;

// An image (tar) and where the guest finds it.
struct ImageOption {
  std::string path;
  std::string mountpoint = "/";
  std::string access = "ro";  // or "wo"
  friend bool operator==(const ImageOption&, const ImageOption&) = default;
};

// The four limits of a channel, in the order of a manifest. They hold for every channel.
enum Limit : std::size_t { kReads, kReadBytes, kWrites, kWriteBytes, kLimitCount };

struct Config {
  std::optional<std::string> memory;  // "size, tag"
  std::optional<std::int64_t> timeout_seconds;
  std::optional<std::int64_t> node;
  std::array<std::optional<std::int64_t>, kLimitCount> limits;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<ImageOption> images;
  friend bool operator==(const Config&, const Config&) = default;
};

// kInvalid, with the line, for what is not understood; kLimitExceeded for too long a file.
Result<Config> ParseConfig(std::string_view text);

// `text` is PATH[,MOUNTPOINT[,ACCESS]]. kInvalid otherwise.
Result<ImageOption> ParseImage(std::string_view text);

// What `config` does not say is taken from `other`; images and variables of both count, those of
// `config` last, so that they win.
void MergeUnder(Config& config, const Config& other);

}  // namespace zerocloud::zvsh
