#include "channels/channel_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <unordered_set>
#include <utility>

namespace zerocloud::channels {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";

std::vector<std::string_view> SplitTrimmed(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t end = text.find(separator);
    fields.push_back(Trim(text.substr(0, end)));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

auto Invalid(std::string message) {
  return FailHost(HostStatus::kManifest, ErrorCode::kInvalid, std::move(message));
}

std::optional<std::uint32_t> ParseIpV4(std::string_view host) {
  const auto parts = SplitTrimmed(host, '.');
  if (parts.size() != 4) return std::nullopt;
  std::uint32_t address = 0;
  for (const std::string_view part : parts) {
    const bool is_decimal = !part.empty() && part.size() <= 3 &&
                            std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    std::uint32_t value = 0;
    if (!is_decimal ||
        std::from_chars(part.data(), part.data() + part.size(), value).ec != std::errc{} ||
        value > 255) {
      return std::nullopt;
    }
    address = address << 8 | value;
  }
  return address;
}

// "host:port" of `source`: a dotted address or a number, and a port, which a node number may leave
// out.
HostResult<NetworkAddress> ParseHostAndPort(std::string_view source, std::string_view protocol,
                                            std::string_view host_and_port) {
  const auto parts = SplitTrimmed(host_and_port, ':');
  if (parts.size() != 2) {
    return Invalid(fmt::format("'{}' is not of the form {}:host:port", source, protocol));
  }
  NetworkAddress address;
  const auto ip = ParseIpV4(parts[0]);
  const auto number = ParseInteger(parts[0]);
  if (!ip && (!number || *number < 1 || *number > UINT32_MAX)) {
    return Invalid(fmt::format("'{}': '{}' is neither a dotted IPv4 address nor a node number",
                               source, parts[0]));
  }
  if (!parts[1].empty()) {
    const auto port = ParseInteger(parts[1]);
    if (!port || *port < 0 || *port > 65535) {
      return Invalid(fmt::format("'{}': '{}' is not a port from 0 to 65535", source, parts[1]));
    }
    address.port = static_cast<std::uint16_t>(*port);
  }
  if (ip && address.port == 0) {
    return Invalid(fmt::format("'{}' has no port; only a node number may go without", source));
  }
  const auto value = ip ? *ip : static_cast<std::uint32_t>(number.value_or(0));
  (address.port == 0 ? address.node : address.ip) = value;
  return address;
}

// What stands before the first colon, in lower case, and what stands behind it.
std::pair<std::string, std::string_view> SplitProtocol(std::string_view source) {
  const std::size_t colon = source.find(':');
  if (colon == std::string_view::npos) return {"", source};
  return {ToLower(Trim(source.substr(0, colon))), source.substr(colon + 1)};
}

HostResult<void> ValidateChannel(const ChannelSpec& spec) {
  if (spec.alias.empty()) return Invalid("a channel has an empty alias");
  if (spec.alias.size() > kMaxAliasSize || spec.alias.contains('\0')) {
    return Invalid(
        fmt::format("the alias that begins with '{}' is longer than {} bytes or holds a NUL",
                    spec.alias.substr(0, 32), kMaxAliasSize));
  }
  const ChannelLimits& limits = spec.limits;
  const std::pair<const char*, std::int64_t> named[] = {{"gets", limits.gets},
                                                        {"get_size", limits.get_size},
                                                        {"puts", limits.puts},
                                                        {"put_size", limits.put_size}};
  for (const auto& [name, value] : named) {
    if (value < 0) return Invalid(fmt::format("{}: {} {} is negative", spec.alias, name, value));
  }
  if (!spec.is_readable() && !spec.is_writable()) {
    return FailHost(HostStatus::kUsage, ErrorCode::kInvalid,
                    fmt::format("{}: gets, get_size, puts, put_size: the channel is neither "
                                "readable (gets and get_size) nor writable (puts and put_size): "
                                "make one pair positive",
                                spec.alias));
  }
  return {};
}

}  // namespace

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) - begin + 1);
}

std::optional<std::int64_t> ParseInteger(std::string_view text) {
  bool is_negative = false;
  if (text.starts_with('-') || text.starts_with('+')) {
    is_negative = text.front() == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.front() == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  // Unsigned: from_chars then takes no second sign.
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  constexpr auto kMaxMagnitude = static_cast<std::uint64_t>(INT64_MAX);
  if (is_negative && magnitude == kMaxMagnitude + 1) return INT64_MIN;
  if (magnitude > kMaxMagnitude) return std::nullopt;
  const auto value = static_cast<std::int64_t>(magnitude);
  return is_negative ? -value : value;
}

HostResult<SourceKind> ClassifySource(std::string_view source) {
  if (source.empty()) return Invalid("a source is empty");
  if (source.contains('\0')) return Invalid("a source holds a NUL byte");
  if (source.front() == '/') return SourceKind::kFile;
  const std::size_t colon = source.find(':');
  if (colon == std::string_view::npos) {
    return Invalid(fmt::format("source '{}' is not an absolute path", source));
  }
  const auto [protocol, rest] = SplitProtocol(source);
  if (protocol == "tcp") {
    const auto address = ParseHostAndPort(source, protocol, rest);
    if (!address) {
      HostError error = address.error();
      error.error.message = "source " + error.error.message;
      return std::unexpected(std::move(error));
    }
    return SourceKind::kNetwork;
  }
  constexpr std::array<std::string_view, 5> kOtherProtocols = {"udp", "ipc", "inproc", "pgm",
                                                               "epgm"};
  if (std::ranges::find(kOtherProtocols, protocol) != kOtherProtocols.end()) {
    return Invalid(
        fmt::format("source '{}': a channel cannot use the protocol {}", source, protocol));
  }
  return Invalid(
      fmt::format("source '{}' is neither an absolute path nor of the form tcp:host:port", source));
}

HostResult<NetworkAddress> ParseNetworkSource(std::string_view source) {
  const auto [protocol, rest] = SplitProtocol(source);
  if (protocol == "tcp") return ParseHostAndPort(source, protocol, rest);
  return Invalid(fmt::format("'{}' is not of the form tcp:host:port", source));
}

HostResult<NetworkAddress> ParseNameServer(std::string_view value) {
  const auto [protocol, rest] = SplitProtocol(value);
  const auto address = ParseHostAndPort(value, "udp", rest);
  if (protocol == "udp" && address && address->port != 0) return address;
  return Invalid(fmt::format("'{}' is not of the form udp:ip:port", value));
}

HostResult<ChannelSpec> ParseChannel(std::string_view value) {
  constexpr std::array<std::string_view, 8> kFields = {"source", "alias",    "type", "etag",
                                                       "gets",   "get_size", "puts", "put_size"};
  const auto fields = SplitTrimmed(value, ',');
  if (fields.size() != kFields.size()) {
    return Invalid(fmt::format(
        "{} fields instead of the 8: uri, alias, type, etag, gets, get_size, puts, put_size",
        fields.size()));
  }

  ChannelSpec spec;
  spec.alias = fields[1];
  // A report names aliases between blanks, so they hold none.
  if (spec.alias.empty() || spec.alias.size() > kMaxAliasSize ||
      std::ranges::any_of(spec.alias, [](char c) { return (c >= 0 && c <= ' ') || c == 0x7f; })) {
    return Invalid(fmt::format(
        "alias '{}' is empty, longer than {} bytes, or holds a blank or control character",
        spec.alias.substr(0, kMaxAliasSize), kMaxAliasSize));
  }

  const auto sources = SplitTrimmed(fields[0], ';');
  if (sources.size() > kMaxSources) {
    return Invalid(
        fmt::format("{} has {} sources; the limit is {}", spec.alias, sources.size(), kMaxSources));
  }
  for (const std::string_view source : sources) {
    const auto kind = ClassifySource(source);
    if (!kind) {
      HostError error = kind.error();
      error.error.message = fmt::format("{}: {}", spec.alias, error.error.message);
      return std::unexpected(std::move(error));
    }
    spec.sources.emplace_back(source);
  }

  std::array<std::int64_t, kFields.size()> numbers{};
  for (std::size_t i = 2; i < kFields.size(); ++i) {
    const auto number = ParseInteger(fields[i]);
    if (!number) {
      return Invalid(
          fmt::format("{}: {} '{}' is not a 64-bit integer", spec.alias, kFields[i], fields[i]));
    }
    numbers[i] = *number;
  }
  if (numbers[2] < 0 || numbers[2] > 3) {
    return Invalid(fmt::format("{}: type {} is not one of 0, 1, 2, 3", spec.alias, numbers[2]));
  }
  if (numbers[3] < 0 || numbers[3] > 1) {
    return Invalid(fmt::format("{}: etag {} is neither 0 nor 1", spec.alias, numbers[3]));
  }
  spec.type = static_cast<AccessType>(numbers[2]);
  spec.wants_digest = numbers[3] == 1;
  spec.limits = {
      .gets = numbers[4], .get_size = numbers[5], .puts = numbers[6], .put_size = numbers[7]};
  if (auto valid = ValidateChannel(spec); !valid) return std::unexpected(std::move(valid).error());
  return spec;
}

HostResult<void> ValidateChannels(std::span<const ChannelSpec> channels) {
  if (channels.size() > kMaxChannels) {
    return FailHost(HostStatus::kTooManyChannels, ErrorCode::kLimitExceeded,
                    fmt::format("{} channels; the limit is {}", channels.size(), kMaxChannels));
  }
  std::unordered_set<std::string_view> aliases;
  for (const ChannelSpec& spec : channels) {
    if (auto valid = ValidateChannel(spec); !valid) return valid;
    if (!aliases.insert(spec.alias).second) {
      return Invalid(fmt::format("{} is the alias of two channels", spec.alias));
    }
  }
  for (const std::string_view alias : kStandardAliases) {
    if (!aliases.contains(alias)) {
      return Invalid(fmt::format("no channel has the alias {}: a session needs {}, {} and {}",
                                 alias, kStandardAliases[0], kStandardAliases[1],
                                 kStandardAliases[2]));
    }
  }
  return {};
}

bool HandleLess(std::string_view a, std::string_view b) {
  const auto rank = [](std::string_view alias) {
    return std::ranges::find(kStandardAliases, alias) - std::begin(kStandardAliases);
  };
  const auto rank_a = rank(a);
  const auto rank_b = rank(b);
  return rank_a != rank_b ? rank_a < rank_b : a < b;
}

void SortForHandles(std::vector<ChannelSpec>& channels) {
  std::ranges::sort(channels, HandleLess, &ChannelSpec::alias);
}

}  // namespace zerocloud::channels
