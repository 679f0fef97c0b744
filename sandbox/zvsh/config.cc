#include "sandbox/zvsh/config.h"

#include <fmt/format.h>

#include <charconv>

namespace zerocloud::zvsh {
namespace {

constexpr std::string_view kSpace = " \t\r";
constexpr std::string_view kVersion = "20130611";

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(Trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

Result<std::int64_t> Number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return Fail(ErrorCode::kInvalid, fmt::format("'{}' is not a number from 0 on", text));
  }
  return value;
}

Result<void> SetNumber(std::optional<std::int64_t>& field, std::string_view value) {
  const auto number = Number(value);
  if (!number) return Fail(number);
  field = *number;
  return {};
}

// The tag may be left out; ZeroVM's zvsh added it always.
Result<void> SetMemory(Config& config, std::string_view value) {
  const auto parts = Split(value, ',');
  if (parts.size() > 2) return Fail(ErrorCode::kInvalid, "Memory is 'size' or 'size, tag'");
  for (const std::string_view part : parts) {
    if (const auto number = Number(part); !number) return Fail(number);
  }
  config.memory = fmt::format("{}, {}", parts[0], parts.size() == 2 ? parts[1] : "0");
  return {};
}

Result<void> SetManifestKey(Config& config, std::string_view key, std::string_view value) {
  if (key == "Memory") return SetMemory(config, value);
  if (key == "Timeout") return SetNumber(config.timeout_seconds, value);
  if (key == "Node") return SetNumber(config.node, value);
  if (key != "Version") {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("'{}' is no key of [manifest]; it has Version, Memory, Node, Timeout", key));
  }
  if (value == kVersion) return {};
  return Fail(ErrorCode::kInvalid,
              fmt::format("manifests of version {} cannot be made; only {}", value, kVersion));
}

Result<void> SetLimit(Config& config, std::string_view key, std::string_view value) {
  constexpr std::array<std::string_view, kLimitCount> kKeys = {"reads", "rbytes", "writes",
                                                               "wbytes"};
  for (std::size_t i = 0; i < kLimitCount; ++i) {
    if (key == kKeys[i]) return SetNumber(config.limits[i], value);
  }
  return Fail(ErrorCode::kInvalid,
              fmt::format("'{}' is no key of [limits]; it has reads, rbytes, writes, wbytes", key));
}

Result<void> AddImage(Config& config, std::string_view path, std::string_view value) {
  std::vector<std::string_view> words;
  for (const std::string_view word : Split(value, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  if (words.empty() || words.size() > 2) {
    return Fail(ErrorCode::kInvalid, "a record of [fstab] is 'image = mountpoint [access]'");
  }
  const auto image =
      ParseImage(fmt::format("{},{},{}", path, words[0], words.size() == 2 ? words[1] : "ro"));
  if (!image) return Fail(image);
  config.images.push_back(*image);
  return {};
}

Result<void> Set(Config& config, std::string_view section, std::string_view key,
                 std::string_view value) {
  if (section == "manifest") return SetManifestKey(config, key, value);
  if (section == "limits") return SetLimit(config, key, value);
  if (section == "fstab") return AddImage(config, key, value);
  if (section == "env") {
    config.environment.emplace_back(key, value);
    return {};
  }
  if (section == "zvapp") return {};  // of another program, in the same file
  return Fail(ErrorCode::kInvalid,
              section.empty() ? "a key stands before the first [section]"
                              : fmt::format("there is no section [{}]; there are manifest, env, "
                                            "fstab, limits, zvapp",
                                            section));
}

Result<void> ReadLine(Config& config, std::string& section, std::string_view line) {
  if (line.empty() || line.front() == '#' || line.front() == ';') return {};
  if (line.front() == '[' && line.back() == ']') {
    section = Trim(line.substr(1, line.size() - 2));
    return {};
  }
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "a line is '[section]', 'key = value' or a comment");
  }
  const std::string_view key = Trim(line.substr(0, equals));
  if (key.empty()) return Fail(ErrorCode::kInvalid, "there is no key before '='");
  return Set(config, section, key, Trim(line.substr(equals + 1)));
}

}  // namespace

Result<Config> ParseConfig(std::string_view text) {
  if (text.size() > kMaxConfigSize) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("it has {} bytes; at most {} are read", text.size(), kMaxConfigSize));
  }
  Config config;
  std::string section;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    if (const auto read = ReadLine(config, section, Trim(text.substr(0, end))); !read) {
      return Fail(read.error().code, fmt::format("line {}: {}", number, read.error().message));
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return config;
}

Result<ImageOption> ParseImage(std::string_view text) {
  const auto parts = Split(text, ',');
  ImageOption image;
  if (!parts.empty()) image.path = parts[0];
  if (parts.size() > 1 && !parts[1].empty()) image.mountpoint = parts[1];
  if (parts.size() > 2) image.access = parts[2];
  if (parts.size() > 3 || image.path.empty()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("'{}': an image is PATH[,MOUNTPOINT[,ACCESS]]", text));
  }
  if (image.mountpoint.front() != '/') {
    return Fail(ErrorCode::kInvalid, fmt::format("'{}': the mount point '{}' must begin with /",
                                                 text, image.mountpoint));
  }
  if (image.access != "ro" && image.access != "wo") {
    return Fail(ErrorCode::kInvalid,
                fmt::format("'{}': the access '{}' must be ro or wo", text, image.access));
  }
  if (image.access == "wo" && image.mountpoint == "/") {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("'{}': an image that is written needs a directory of its own, not /", text));
  }
  if (image.mountpoint == "/dev" || image.mountpoint.starts_with("/dev/")) {
    return Fail(ErrorCode::kInvalid, fmt::format("'{}': nothing can be mounted in /dev", text));
  }
  return image;
}

void MergeUnder(Config& config, const Config& other) {
  if (!config.memory) config.memory = other.memory;
  if (!config.timeout_seconds) config.timeout_seconds = other.timeout_seconds;
  if (!config.node) config.node = other.node;
  for (std::size_t i = 0; i < kLimitCount; ++i) {
    if (!config.limits[i]) config.limits[i] = other.limits[i];
  }
  config.environment.insert(config.environment.begin(), other.environment.begin(),
                            other.environment.end());
  config.images.insert(config.images.begin(), other.images.begin(), other.images.end());
}

}  // namespace zerocloud::zvsh
