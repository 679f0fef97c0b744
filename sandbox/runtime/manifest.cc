#include "sandbox/runtime/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "channels/channel_parse.h"
#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

using channels::FailHost;
using channels::HostResult;
using channels::HostStatus;
using channels::ParseInteger;
using channels::Trim;

auto Invalid(std::string message) {
  return FailHost(HostStatus::kManifest, ErrorCode::kInvalid, std::move(message));
}

HostResult<void> SetVersion(Manifest& /*manifest*/, std::string_view value) {
  if (value == kManifestVersion) return {};
  return Invalid(
      fmt::format("'{}' is not {}, the version that is understood", value, kManifestVersion));
}

HostResult<void> SetProgram(Manifest& manifest, std::string_view value) {
  manifest.program = value;
  return {};
}

HostResult<void> SetMemory(Manifest& manifest, std::string_view value) {
  const std::size_t comma = value.find(',');
  if (comma == std::string_view::npos) {
    return Invalid(fmt::format("'{}' is not 'size, tag'", value));
  }
  const std::string_view size_text = Trim(value.substr(0, comma));
  const std::string_view tag_text = Trim(value.substr(comma + 1));
  const auto size = ParseInteger(size_text);
  if (!size) return Invalid(fmt::format("size '{}' is not a 64-bit integer", size_text));
  const auto tag = ParseInteger(tag_text);
  if (!tag || *tag < 0 || *tag > 1)
    return Invalid(fmt::format("tag '{}' is neither 0 nor 1", tag_text));
  if (*size <= std::int64_t{ZVM_STACK_SIZE} || *size > kMaxMemorySize) {
    return FailHost(HostStatus::kMemory, ErrorCode::kInvalid,
                    fmt::format("size {} is not above {} (the stack) and at most {}", *size,
                                ZVM_STACK_SIZE, kMaxMemorySize));
  }
  manifest.memory_size = static_cast<std::uint64_t>(*size);
  manifest.wants_memory_digest = *tag == 1;
  return {};
}

HostResult<void> SetTimeout(Manifest& manifest, std::string_view value) {
  const auto seconds = ParseInteger(value);
  if (!seconds || *seconds < 1 || *seconds > kMaxTimeout) {
    return Invalid(fmt::format("'{}' is not a number of seconds from 1 to {}", value, kMaxTimeout));
  }
  manifest.timeout_seconds = *seconds;
  return {};
}

HostResult<void> AddChannel(Manifest& manifest, std::string_view value) {
  auto spec = channels::ParseChannel(value);
  if (!spec) return std::unexpected(std::move(spec).error());
  manifest.channels.push_back(std::move(*spec));
  return {};
}

HostResult<void> SetNode(Manifest& manifest, std::string_view value) {
  manifest.node = ParseInteger(value);
  if (!manifest.node || *manifest.node < 1 || *manifest.node > UINT32_MAX) {
    return Invalid(fmt::format("'{}' is not a number from 1 to {}", value, UINT32_MAX));
  }
  return {};
}

HostResult<void> SetNameServer(Manifest& manifest, std::string_view value) {
  // A name server has the form of a tcp source with another protocol and a port that must be there.
  const std::size_t colon = value.find(':');
  const std::string_view protocol = Trim(value.substr(0, colon));
  const std::string_view address = colon == std::string_view::npos ? "" : value.substr(colon + 1);
  const bool is_udp = protocol.size() == 3 && (protocol[0] | 0x20) == 'u' &&
                      (protocol[1] | 0x20) == 'd' && (protocol[2] | 0x20) == 'p';
  if (!is_udp || address.ends_with(':') ||
      !channels::ClassifySource(fmt::format("tcp:{}", address)).has_value()) {
    return Invalid(fmt::format("'{}' is not of the form udp:ip:port", value));
  }
  manifest.name_server = value;
  return {};
}

HostResult<void> SetJob(Manifest& manifest, std::string_view value) {
  if (value.size() > kMaxJobSize) {
    return Invalid(fmt::format("a path of {} bytes; the limit is {}", value.size(), kMaxJobSize));
  }
  manifest.job = value;
  return {};
}

HostResult<void> SetEtag(Manifest& manifest, std::string_view value) {
  manifest.etag = value;
  return {};
}

// `alias [immutable], ...`; whether there are such channels is found out when all are known.
HostResult<void> SetMapped(Manifest& manifest, std::string_view value) {
  for (;;) {
    const std::size_t comma = value.find(',');
    const std::string_view item = Trim(value.substr(0, comma));
    const std::size_t blank = item.find_first_of(" \t");
    const std::string_view word = blank == std::string_view::npos ? "" : Trim(item.substr(blank));
    if (item.empty() || (!word.empty() && word != "immutable")) {
      return Invalid(fmt::format("'{}' is not of the form alias or alias immutable", item));
    }
    manifest.mapped.push_back({std::string(item.substr(0, blank)), !word.empty()});
    if (comma == std::string_view::npos) return {};
    value.remove_prefix(comma + 1);
  }
}

HostResult<void> SetReadiness(Manifest& manifest, std::string_view value) {
  if (value != "0" && value != "1") return Invalid(fmt::format("'{}' is neither 0 nor 1", value));
  manifest.wants_readiness = value == "1";
  return {};
}

struct Key {
  std::string_view name;
  bool is_required;
  bool is_repeatable;
  HostResult<void> (*set)(Manifest&, std::string_view);
};

constexpr Key kKeys[] = {
    {"Version", true, false, SetVersion},
    {"Program", true, false, SetProgram},
    {"Memory", true, false, SetMemory},
    {"Timeout", true, false, SetTimeout},
    {"Channel", true, true, AddChannel},
    {"Node", false, false, SetNode},
    {"NameServer", false, false, SetNameServer},
    {"Job", false, false, SetJob},
    {"Etag", false, false, SetEtag},
    {"Mapped", false, false, SetMapped},
    {"Readiness", false, false, SetReadiness},
};
constexpr std::size_t kKeyCount = std::size(kKeys);

// Why a line that is no "key = value" may be a slip of the pen, or empty: samples use text without
// '=' and rulers of '=' as comments.
std::string_view SlipIn(std::string_view line) {
  const std::string_view word = line.substr(0, line.find_first_of(" \t=:"));
  const bool begins_with_key = std::ranges::find(kKeys, word, &Key::name) != std::end(kKeys);
  if (!begins_with_key) return {};
  return line.contains('=') ? "ignored: it has more than one '='" : "ignored: it has no '='";
}

class Parser {
 public:
  HostResult<Manifest> Parse(std::string_view text) {
    std::size_t line = 0;
    while (!text.empty()) {
      if (++line > kMaxManifestLines) {
        return Invalid(fmt::format("MANIFEST: more than {} lines", kMaxManifestLines));
      }
      const std::size_t end = text.find('\n');
      if (auto parsed = ParseLine(line, Trim(text.substr(0, end))); !parsed) {
        return std::unexpected(std::move(parsed).error());
      }
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return Finish();
  }

 private:
  HostResult<void> ParseLine(std::size_t line, std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || text.find('=', equals + 1) != std::string_view::npos) {
      if (const std::string_view slip = SlipIn(text); !slip.empty()) Warn(line, std::string(slip));
      return {};
    }
    const std::string_view name = Trim(text.substr(0, equals));
    const std::string_view value = Trim(text.substr(equals + 1));
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    if (key == std::end(kKeys)) {
      Warn(line, fmt::format("ignored: there is no key '{}'", name));
      return {};
    }
    std::size_t& first_line = lines_[static_cast<std::size_t>(key - kKeys)];
    if (first_line != 0 && !key->is_repeatable) {
      return Invalid(
          fmt::format("MANIFEST {}: duplicate {}, first on line {}", line, name, first_line));
    }
    first_line = line;
    HostResult<void> set =
        value.empty() ? Invalid("the key has no value") : key->set(manifest_, value);
    if (!set) {
      set.error().error.message =
          fmt::format("MANIFEST {}: {}: {}", line, name, set.error().error.message);
    }
    return set;
  }

  HostResult<Manifest> Finish() {
    std::string missing;
    for (std::size_t i = 0; i < kKeyCount; ++i) {
      if (!kKeys[i].is_required || lines_[i] != 0) continue;
      missing += missing.empty() ? "" : ", ";
      missing += kKeys[i].name;
    }
    if (!missing.empty()) return Invalid(fmt::format("MANIFEST: not specified: {}", missing));
    if (manifest_.name_server && !manifest_.node) {
      return Invalid("MANIFEST: NameServer is specified, so Node must be too");
    }
    if (auto valid = channels::ValidateChannels(manifest_.channels); !valid) {
      valid.error().error.message = "MANIFEST: " + valid.error().error.message;
      return std::unexpected(std::move(valid).error());
    }
    channels::SortForHandles(manifest_.channels);
    return std::move(manifest_);
  }

  void Warn(std::size_t line, std::string message) {
    manifest_.warnings.push_back({line, std::move(message)});
  }

  Manifest manifest_;
  std::array<std::size_t, kKeyCount> lines_{};  // where each key stands; 0: nowhere
};

}  // namespace

HostResult<Manifest> ParseManifest(std::string_view text) {
  if (text.empty()) {
    return FailHost(HostStatus::kIo, ErrorCode::kInvalid, "MANIFEST: the manifest is empty");
  }
  if (text.size() > kMaxManifestSize) {
    return FailHost(HostStatus::kManifest, ErrorCode::kLimitExceeded,
                    fmt::format("MANIFEST: more than {} bytes", kMaxManifestSize));
  }
  if (text.contains('\0')) return Invalid("MANIFEST: a NUL byte: this is no text file");
  return Parser().Parse(text);
}

}  // namespace zerocloud::runtime
