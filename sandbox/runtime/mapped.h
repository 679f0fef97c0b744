// Mapped channels: inputs that the guest finds in its memory, read-only, without a copy or a call.
// The host's part before a session starts: which channels can be mapped, and whose bytes.
//
// What is mapped must never change or shrink: a page that is gone would end the session by a
// signal, and a digest or a run would not be repeatable. So a file is mapped itself only if it is a
// sealed memory file or its owner declares it immutable (SessionChannel::is_immutable: Swift's
// stored objects, which are replaced and never written). Any other is copied to a sealed memory
// file.
#pragma once

#include <cstdint>
#include <vector>

#include "channels/base/result.h"
#include "channels/channel_rules.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::runtime {

// Whether a channel can be mapped, as far as its manifest line and its file's size say: it must be
// a regular file that is only read, at random, whole within its limits, without digest. kInvalid
// names the channel and the reason.
Result<void> CheckMappedChannel(const channels::ChannelSpec& spec, std::uint64_t size,
                                bool is_stream);

// Checks the channels that are to be mapped, and puts copies in place of files that may change.
// Copies take at most `most_copied` bytes together.
Result<void> PrepareMappedChannels(std::vector<SessionChannel>& channels,
                                   std::uint64_t most_copied);

// Mapping is one get of the whole file, counted at the start.
void CountMapping(channels::ChannelState& state);

}  // namespace zerocloud::runtime
