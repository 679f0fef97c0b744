// The value of a manifest's Channel line, and the rules that the channels of a session must keep
// together. Source of the format: the ZeroVM manifest, version 20130611; docs/manifest.md has the
// table. Pure: nothing is opened here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "channels/channel_spec.h"
#include "channels/host_status.h"

namespace zerocloud::channels {

inline constexpr std::size_t kMaxChannels = 10914;
inline constexpr std::size_t kMaxSources = 16;
// With it the user manifest of kMaxChannels channels fits where the guest sees it (docs/abi.md).
inline constexpr std::size_t kMaxAliasSize = 255;

inline constexpr std::string_view kStandardAliases[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};

// A signed integer as manifests write it: decimal, 0 octal, 0x hexadecimal, an optional sign,
// nothing else. nullopt for anything else and for what 64 bits cannot hold.
std::optional<std::int64_t> ParseInteger(std::string_view text);

// `text` without white space (blank, tab, CR, LF, VT, FF) at both ends.
std::string_view Trim(std::string_view text);

// What a source names, told from its form alone.
enum class SourceKind : std::uint8_t {
  kFile,     // an absolute path
  kNetwork,  // tcp:host:port
};
// kManifest for anything else: a relative path, an unknown protocol, a protocol that channels do
// not have, a host name, a port out of range.
HostResult<SourceKind> ClassifySource(std::string_view source);

// Where a network source is: by address and port, or by node number, to be asked of a name server.
struct NetworkAddress {
  std::uint32_t ip = 0;  // host byte order; 0 with a node number
  std::uint16_t port = 0;
  std::uint32_t node = 0;
  friend bool operator==(const NetworkAddress&, const NetworkAddress&) = default;
};
// "tcp:a.b.c.d:port", "tcp:number:port" (the address as one number), "tcp:node:" or "tcp:node:0".
HostResult<NetworkAddress> ParseNetworkSource(std::string_view source);
// The same of a name server: "udp:a.b.c.d:port".
HostResult<NetworkAddress> ParseNameServer(std::string_view value);

// "uri[;uri...], alias, type, etag, gets, get_size, puts, put_size". The message names the field.
HostResult<ChannelSpec> ParseChannel(std::string_view value);

// What must hold for all channels of a session: the number, each alias once, the three standard
// ones there. Also checks again what ParseChannel does for each, for channels made by other means.
HostResult<void> ValidateChannels(std::span<const ChannelSpec> channels);

// Whether the channel named `a` has a lower handle than `b`: stdin, stdout, stderr, then byte
// order.
bool HandleLess(std::string_view a, std::string_view b);
void SortForHandles(std::vector<ChannelSpec>& channels);

}  // namespace zerocloud::channels
