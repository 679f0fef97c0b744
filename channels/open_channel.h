// Opening the host files behind the channels of a session, in two steps, so that nothing is created
// or cut before everything has been accepted:
//
//   CheckChannels  looks at every source and opens what exists; changes nothing on the host
//   OpenChannels   creates the missing outputs, then cuts the write-only ones to nothing
//
// Rules (docs/manifest.md):
// - regular files, character devices and FIFOs; anything else is kUnsupported, and so are network
//   sources and several sources for one channel, which this version does not have;
// - symbolic links are followed, except a link to nothing as an output. What is opened is the very
//   file that was looked at: it is held by an O_PATH descriptor and opened through that;
// - opening never blocks, also not on a FIFO without a peer, and no terminal becomes the
// controlling
//   one. The descriptors come back in blocking mode;
// - a FIFO to write is opened for reading too, so that neither the opening nor a write fails while
// no
//   reader is there;
// - no file is extended beforehand ("preallocated"): its length is always what was written;
// - one regular file cannot be behind two channels if either writes it.
//
// Not thread-safe against others who change the same directories, but never fooled into another
// file. Needs /proc.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "channels/channel_spec.h"
#include "channels/host_status.h"

namespace zerocloud::channels {

struct OpenedChannel {
  UniqueFd file;           // close-on-exec, blocking
  std::uint64_t size = 0;  // of a regular file that can be read; else 0
  bool is_stream = false;  // FIFO or character device
};

// What CheckChannels found. `open.file` is not open yet for an output that does not exist.
struct CheckedChannel {
  OpenedChannel open;
  UniqueFd directory;  // of an output that does not exist
  std::string name;    // its name there
  int flags = 0;       // it is opened with
  std::string label;   // "alias (path)", for messages
  bool must_truncate = false;
};

// One for each spec, in their order.
HostResult<std::vector<CheckedChannel>> CheckChannels(std::span<const ChannelSpec> specs);

// If it fails, the files that it made are removed, and nothing has been cut unless it was the
// cutting itself that failed.
HostResult<std::vector<OpenedChannel>> OpenChannels(std::vector<CheckedChannel> checked);

// Waits until every FIFO that is read has or has had a writer, since a read() before that would say
// "end". kInterrupted when the deadline passes first. Uses a thread while it waits.
HostResult<void> WaitForWriters(std::span<const OpenedChannel> opened,
                                std::chrono::steady_clock::time_point deadline);

}  // namespace zerocloud::channels
