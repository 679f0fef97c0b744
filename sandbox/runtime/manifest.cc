#include "sandbox/runtime/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "channels/channel_parse.h"
#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

using channels::FailHost;
using channels::HostError;
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
  const auto address = channels::ParseNameServer(value);
  if (!address) return std::unexpected(address.error());
  manifest.name_server = *address;
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
  bool may_be_empty;
  HostResult<void> (*set)(Manifest&, std::string_view);
};

constexpr Key kKeys[] = {
    {"Version", true, false, false, SetVersion},
    {"Program", true, false, false, SetProgram},
    {"Memory", true, false, false, SetMemory},
    {"Timeout", true, false, false, SetTimeout},
    {"Channel", true, true, false, AddChannel},
    {"Node", false, false, false, SetNode},
    {"NameServer", false, false, false, SetNameServer},
    {"Job", false, false, true, SetJob},
    {"Etag", false, false, true, SetEtag},
    {"Mapped", false, false, false, SetMapped},
    {"Readiness", false, false, false, SetReadiness},
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

// Goes on after a mistake, so that all are found.
class Parser {
 public:
  using Mistake = ManifestCheck::Mistake;

  void Parse(std::string_view text) {
    if (text.empty()) {
      return AddMistake(0, {HostStatus::kIo, {ErrorCode::kInvalid, "the manifest is empty"}});
    }
    if (text.size() > kMaxManifestSize) {
      return AddMistake(
          0, {HostStatus::kManifest,
              {ErrorCode::kLimitExceeded, fmt::format("more than {} bytes", kMaxManifestSize)}});
    }
    if (text.contains('\0')) return AddMistake(0, "a NUL byte: this is no text file");
    std::size_t line = 0;
    while (!text.empty()) {
      if (++line > kMaxManifestLines) {
        return AddMistake(0, fmt::format("more than {} lines", kMaxManifestLines));
      }
      const std::size_t end = text.find('\n');
      ParseLine(line, Trim(text.substr(0, end)));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    Finish();
  }

  std::vector<Mistake>& mistakes() { return mistakes_; }
  Manifest& manifest() { return manifest_; }

 private:
  void ParseLine(std::size_t line, std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || text.find('=', equals + 1) != std::string_view::npos) {
      if (const std::string_view slip = SlipIn(text); !slip.empty()) Warn(line, std::string(slip));
      return;
    }
    const std::string_view name = Trim(text.substr(0, equals));
    const std::string_view value = Trim(text.substr(equals + 1));
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    if (key == std::end(kKeys)) {
      Warn(line, fmt::format("ignored: there is no key '{}'", name));
      return;
    }
    std::size_t& first_line = lines_[static_cast<std::size_t>(key - kKeys)];
    if (first_line != 0 && !key->is_repeatable) {
      return AddMistake(line, fmt::format("duplicate {}, first on line {}", name, first_line));
    }
    first_line = line;
    if (value.empty() && key->may_be_empty) {
      return Warn(line, fmt::format("ignored: {} has no value", name));
    }
    const std::size_t channel_count = manifest_.channels.size();
    HostResult<void> set =
        value.empty() ? Invalid("the key has no value") : key->set(manifest_, value);
    if (!set) {
      set.error().error.message = fmt::format("{}: {}", name, set.error().error.message);
      return AddMistake(line, std::move(set).error());
    }
    if (manifest_.channels.size() > channel_count) AcceptChannel(line);
  }

  // The channel of `line` is the last one.
  void AcceptChannel(std::size_t line) {
    channels::ChannelSpec& spec = manifest_.channels.back();
    spec.line = line;
    const auto [other, is_new] = aliases_.try_emplace(spec.alias, line);
    if (is_new) return;
    AddMistake(line,
               fmt::format("Channel: alias: {} is the alias of two channels, first on line {}",
                           spec.alias, other->second));
    manifest_.channels.pop_back();
  }

  [[nodiscard]] std::size_t LineOf(std::string_view name) const {
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    return lines_[static_cast<std::size_t>(key - kKeys)];
  }

  void Finish() {
    std::string missing;
    for (std::size_t i = 0; i < kKeyCount; ++i) {
      if (!kKeys[i].is_required || lines_[i] != 0) continue;
      missing += missing.empty() ? "" : ", ";
      missing += kKeys[i].name;
    }
    if (!missing.empty()) AddMistake(0, "not specified: " + missing);
    manifest_.program_line = LineOf("Program");
    manifest_.memory_line = LineOf("Memory");
    manifest_.mapped_line = LineOf("Mapped");
    manifest_.readiness_line = LineOf("Readiness");
    if (const std::size_t line = LineOf("NameServer"); line != 0 && LineOf("Node") == 0) {
      AddMistake(line, "NameServer: the key Node must be there too");
    }
    for (const channels::ChannelSpec& spec : manifest_.channels) CheckNodes(spec);
    // What is missing among channels cannot be told where some could not be read.
    if (mistakes_.empty()) CheckChannels();
  }

  void CheckChannels() {
    if (auto valid = channels::ValidateChannels(manifest_.channels); !valid) {
      AddMistake(0, std::move(valid).error());
    }
    CheckMapped();
    if (manifest_.wants_readiness && manifest_.job) {
      AddMistake(manifest_.readiness_line, "Readiness: there is a Job, so the guest may fork");
    }
    channels::SortForHandles(manifest_.channels);
  }

  // What can be mapped also depends on files: see mapped.h.
  void CheckMapped() {
    std::unordered_set<std::string_view> seen;
    for (const MappedAlias& mapped : manifest_.mapped) {
      std::string_view why;
      if (!aliases_.contains(mapped.alias)) why = "is the alias of no channel";
      if (!seen.insert(mapped.alias).second) why = "is there twice";
      if (manifest_.job) why = "cannot be mapped: there is a Job, so the guest may fork";
      if (why.empty()) continue;
      AddMistake(manifest_.mapped_line, fmt::format("Mapped: {} {}", mapped.alias, why));
    }
  }

  void CheckNodes(const channels::ChannelSpec& spec) {
    if (LineOf("NameServer") != 0) return;
    for (const std::string& source : spec.sources) {
      const auto address = channels::ParseNetworkSource(source);
      if (!address || address->node == 0) continue;
      AddMistake(spec.line,
                 fmt::format("Channel: source '{}' is a node number without a port, so the keys "
                             "NameServer and Node must be there",
                             source));
    }
  }

  void AddMistake(std::size_t line, HostError error) {
    error.error.message = line == 0 ? "MANIFEST: " + error.error.message
                                    : fmt::format("MANIFEST {}: {}", line, error.error.message);
    const auto order = [](std::size_t at) { return at - 1; };  // 0, no line, comes last
    const auto place = std::ranges::upper_bound(
        mistakes_, order(line), {}, [&](const Mistake& mistake) { return order(mistake.line); });
    mistakes_.insert(place, {line, std::move(error)});
  }
  void AddMistake(std::size_t line, std::string message) {
    AddMistake(line, {HostStatus::kManifest, {ErrorCode::kInvalid, std::move(message)}});
  }

  void Warn(std::size_t line, std::string message) {
    manifest_.warnings.push_back({line, std::move(message)});
  }

  Manifest manifest_;
  std::vector<Mistake> mistakes_;
  std::unordered_map<std::string, std::size_t> aliases_;  // of channels, with their lines
  std::array<std::size_t, kKeyCount> lines_{};            // where each key stands; 0: nowhere
};

}  // namespace

HostResult<Manifest> ParseManifest(std::string_view text) {
  Parser parser;
  parser.Parse(text);
  if (parser.mistakes().empty()) return std::move(parser.manifest());
  return std::unexpected(std::move(parser.mistakes().front().error));
}

ManifestCheck CheckManifest(std::string_view text) {
  Parser parser;
  parser.Parse(text);
  return {std::move(parser.mistakes()), std::move(parser.manifest().warnings)};
}

}  // namespace zerocloud::runtime
