// Opening the host files behind the channels of a session, in two steps, so that nothing is created
// or cut before everything has been accepted:
//
//   CheckChannels  looks at every source and opens what exists; changes nothing on the host
//   OpenChannels   creates the missing outputs, then cuts the write-only ones to nothing and, if
//                  asked to, extends the empty ones
//
// Rules (docs/manifest.md):
// - regular files, character devices and FIFOs; anything else is kUnsupported. Network sources are
//   checked for what channels may do with them, and left for channels/network to open;
// - symbolic links are followed, except a link to nothing as an output. What is opened is the very
//   file that was looked at: it is held by an O_PATH descriptor and opened through that;
// - opening never blocks, also not on a FIFO without a peer, and makes no terminal the controlling
//   one. The descriptors come back in blocking mode;
// - a FIFO to write is opened for reading too, so that neither the opening nor a write fails while
//   no reader is there;
// - one regular file cannot be behind two sources if either is written;
// - regular files that are sources of one readable channel have one length, or two of them have;
// - a channel that has any stream or network source is a stream.
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

struct OpenedSource {
  UniqueFd file;  // close-on-exec, blocking; not open for a network source
  bool is_stream = false;
  std::string where = {};  // "MANIFEST 7: Channel: source: alias (path)", for messages
};

struct OpenedChannel {
  std::vector<OpenedSource> sources;  // in the order of the spec
  std::uint64_t size = 0;             // of a regular file that can be read; else 0
  bool is_stream = false;             // any FIFO, character device or network source
};

// What CheckChannels found.
struct CheckedSource {
  OpenedSource open;       // `open.file` is not open yet for an output that does not exist
  UniqueFd directory;      // of an output that does not exist
  std::string name;        // its name there
  int flags = 0;           // it is opened with
  std::string label;       // "alias (path)", for messages
  std::uint64_t size = 0;  // of a regular file that can be read
  bool must_truncate = false;
};
struct CheckedChannel {
  std::vector<CheckedSource> sources;
  std::uint64_t size = 0;
  bool is_stream = false;
  std::string where;               // "MANIFEST 7: Channel: " if a manifest's line is known
  std::int64_t extended_size = 0;  // of a regular file that is empty and will be written; else 0
};

// One for each spec, in their order.
HostResult<std::vector<CheckedChannel>> CheckChannels(std::span<const ChannelSpec> specs);

// `extends`: empty outputs get the length put_size for as long as the session runs
// ("preallocation"; no disk space is taken), where the file system has such lengths. Whoever opened
// them cuts them.
//
// If it fails, the files that it made are removed, and nothing has been cut or extended unless it
// was that which failed.
HostResult<std::vector<OpenedChannel>> OpenChannels(std::vector<CheckedChannel> checked,
                                                    bool extends = false);

// Waits until every FIFO that is read has or has had a writer, since a read() before that would say
// "end". kInterrupted when the deadline passes first. Uses a thread while it waits.
HostResult<void> WaitForWriters(std::span<const OpenedChannel> opened,
                                std::chrono::steady_clock::time_point deadline);

}  // namespace zerocloud::channels
