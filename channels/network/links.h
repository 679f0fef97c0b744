// Links: the `tcp:` sources of one session. Each is a TCP connection on one side and a local socket
// on the other, which the session reads or writes like any stream; a thread moves the bytes between
// them. The session itself has no network.
//
// A session must not take a stream that broke for one that ended. So the reading end of a link that
// fails (the peer went away, a wrong digest) gives ECONNRESET to the session, after what had
// arrived, and 0 only if the whole stream had come and its digest was right. The writing end gives
// EPIPE when the reader has gone. A stream is ended only for a session that ended well.
//
// Wire format: wire.h. Threads: one for each link; this class is used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "channels/channel_parse.h"
#include "channels/host_status.h"
#include "channels/network/socket.h"

namespace zerocloud::network {

inline constexpr std::size_t kMaxLinks = 512;

struct LinkSpec {
  std::size_t channel = 0, source = 0;  // the caller's own numbers
  std::string label;                    // begins the message when it cannot be set up
  channels::NetworkAddress address;
  bool is_reader = false;  // listens; a writer connects
};

struct LinkReport {
  std::size_t channel = 0, source = 0;
  bool is_reader = false;
  std::uint64_t bytes = 0;    // of the stream, in or out
  std::uint64_t drained = 0;  // of them: came in after the session had stopped reading
  bool is_complete = false;   // both sides have the whole stream and its digest
  bool is_timed_out = false;  // not complete because the deadline passed
  std::string digest = {};    // SHA-256 of the stream, lower-case hex; of a complete one
  std::string error = {};     // why it is not complete: "corrupted upon eof", ...
};

struct NetworkOptions {
  Deadline deadline = {};
  std::uint32_t node = 0;  // the session's own number; 0: none
  // Needed for addresses that are node numbers.
  std::optional<channels::NetworkAddress> name_server = std::nullopt;
};

class Links {
 public:
  // Listens for all readers, asks the name server, and connects all writers; waits until every peer
  // is there. kInterrupted when the deadline passes before, kUnavailable when the name server or
  // a port cannot be had, kManifest for a specification that cannot be.
  static channels::HostResult<std::unique_ptr<Links>> Open(const std::vector<LinkSpec>& specs,
                                                           const NetworkOptions& options);

  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  ~Links();  // cuts what is not finished

  // The session's end of link i, in the order of the specs. Once.
  UniqueFd TakeSessionEnd(std::size_t link);

  // After the session's process has ended. `is_clean`: by itself; then what it wrote is sent and
  // ended, and what it did not read is taken from the peers, until the deadline. Otherwise all
  // connections are cut.
  std::vector<LinkReport> Finish(bool is_clean);

 private:
  struct State;
  explicit Links(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zerocloud::network
