// Session: one run of one guest in a fresh process. This is the host's side: it starts the session
// launcher (a small static executable), watches the process, and collects its report.
//
// Sessions are cloned from a zygote (zygote.h), which has made namespaces, an empty root and the
// like once, if the host allows; without one each is started by itself and has fewer layers around
// it. SessionReport::layers tells which.
//
// A session process has no descriptor but its channels, belongs to no other session, and dies with
// this process; without a zygote already with the thread that started it (parent-death signal), so
// start sessions from a thread that lives as long as they do.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/channel_spec.h"
#include "channels/digest.h"
#include "sandbox/loader/image.h"

namespace zerocloud::runtime {

class Zygote;

// One channel of a session: what the manifest says and the open file behind it.
struct SessionChannel {
  channels::ChannelSpec spec;  // alias, type, limits, digest wanted
  UniqueFd file;               // for reading or writing as the limits say; /dev/null is a file too
  std::uint64_t size = 0;      // of a readable or random-access file at start; 0 for a stream
  bool is_stream = false;      // pipe, socket, FIFO or character device: read()/write(), no offset
  // The guest finds the file in its memory, read-only (mapped.h). Not in a session that may fork.
  bool is_mapped = false;
  bool is_immutable = false;  // nobody ever changes the file, so it is mapped without a copy
  // `file` is a socket, and who holds the other end answers which bytes of `size` are asked for
  // (calls_asked.h). Only to be read, and not in a session that may fork.
  bool is_asked = false;
  // Further sources, up to 15: they vote on what is read and all get what is written (transfer.h).
  // Of `size` like the first, or streams like it.
  std::vector<UniqueFd> replicas = {};
};

class Snapshot;  // snapshot.h

struct SessionRequest {
  std::shared_ptr<const loader::Image> image;  // verified
  std::vector<SessionChannel> channels;        // in handle order: see channels::SortForHandles
  std::uint64_t memory_size = 0;               // bytes: stack + image + heap
  bool wants_memory_digest = false;
  std::chrono::milliseconds timeout{0};  // wall clock from Start; must be > 0
  // The guest's fork ends the session and leaves a snapshot. Otherwise fork returns 0 at once.
  bool wants_snapshot = false;
  // The guest can ask which channels can be read without waiting (readiness.h). Not in a session
  // that may fork.
  bool wants_readiness = false;
  // Go on from here instead of starting anew: `image` and `memory_size` are then the snapshot's and
  // need not be set, and the channels must be as they were (Snapshot::CheckChannels).
  std::shared_ptr<const Snapshot> snapshot;
  // The process may be traced by its user, and stops itself (SIGSTOP) before the guest's first
  // instruction until it is continued. Never for guests of others: this weakens the second wall,
  // and a session that is to be debugged is started without a zygote.
  bool waits_for_debugger = false;

  std::chrono::microseconds cpu_limit{0};  // user and system time together; 0: none
  std::uint64_t memory_limit = 0;          // bytes of resident memory at any time; 0: none
  bool wants_zygote = true;                // false: started by itself, with fewer layers
  bool wants_own_namespaces = false;       // but the network's; needs a zygote
  std::shared_ptr<Zygote> zygote;          // instead of the one of this process
  // A directory of the cgroup file system that is delegated to us (control_group.h): the session
  // gets a group in it, and the kernel enforces memory_limit, too. Empty: none.
  std::string control_groups;
  // policy::Layer bits without which the session must not start: kUnavailable names the missing.
  std::uint32_t required_layers = 0;
  channels::DigestKind digest_kind = channels::DigestKind::kSha1;  // of channels and of memory
  std::uint32_t trace_capacity = 0;  // so many calls are noted in the report, the first ones
};

// Why a session ended. The first cause wins.
enum class Cause : std::uint8_t {
  kExited,       // the guest called exit
  kFaulted,      // the guest raised a signal: see signal, pc
  kTimedOut,     // the wall-clock limit
  kKilled,       // by the host's own decision: client gone, shutdown
  kChannelIo,    // the host could not read or write a channel: see channel, host_errno
  kViolated,     // the second wall killed it: a system call that no session makes
  kHostError,    // the session could not be set up: see message
  kForked,       // the guest called fork: see snapshot
  kCpuLimit,     // the limit of processor time
  kMemoryLimit,  // the limit of resident memory
};
std::string_view ToString(Cause cause);  // "exited", "faulted", ...

// Counted by the launcher; 64-bit, never wrap in practice.
struct ChannelUsage {
  std::string alias;
  std::uint64_t gets = 0, get_bytes = 0, puts = 0, put_bytes = 0;
  std::uint64_t size = 0;             // of a writable file: the logical end, to cut it to
  std::optional<std::string> digest;  // lower-case hex when the spec asks for one
  bool hit_get_limit = false, hit_put_limit = false;
  // Of a channel with several sources that is read: bit i for source i.
  std::uint32_t source_count = 1;
  std::uint32_t failed_sources = 0;    // could not be read
  std::uint32_t outvoted_sources = 0;  // gave other bytes than two others
};

// One call as `zerovm -T` shows it. Times are from the session's start.
struct TracedCall {
  std::uint32_t number = 0;  // ZVM_CALL_*, or whatever the guest asked for
  std::array<std::uint64_t, 4> arguments{};
  std::chrono::nanoseconds start{0};
  std::optional<std::chrono::nanoseconds> end =
      std::nullopt;  // not of a call that ended the session
  std::int64_t result = 0;
};

struct SessionReport {
  Cause cause = Cause::kHostError;
  std::int32_t exit_code = 0;       // kExited
  int signal = 0;                   // kFaulted, kViolated
  std::uint64_t guest_pc = 0;       // kFaulted
  std::uint64_t fault_address = 0;  // kFaulted by SIGSEGV or SIGBUS
  std::string symbol;               // "name+0x12" of guest_pc, if the image has symbols
  int channel = -1;                 // kChannelIo
  int host_errno = 0;               // kChannelIo
  std::string message;              // kHostError and a sentence for the others
  std::vector<ChannelUsage> channels;
  std::optional<std::string> memory_digest;
  std::chrono::microseconds system_time{0}, user_time{0}, wall_time{0};
  std::shared_ptr<const Snapshot> snapshot;  // kForked

  std::uint32_t layers = 0;  // policy::Layer bits of the second wall that it had
  // Bytes resident at most, as exactly as the kernel counts: up to 31 pages per processor and kind
  // of page are not told yet or told still; at least the pages that were touched, up to so many.
  // Not known of a session started without a zygote.
  std::optional<std::uint64_t> peak_memory;
  std::vector<TracedCall> trace;
  std::uint64_t untraced_calls = 0;  // for which trace_capacity had no room
  // The last bytes (4096 at most) that it wrote to its third channel, in the order of the calls,
  // wherever they went.
  std::string stderr_tail;
};

// The names of policy::Layer bits, in their order.
std::vector<std::string_view> LayerNames(std::uint32_t layers);

// A running session. Destroying it kills the process and reaps it.
class Session {
 public:
  // Everything of the request is consumed. kUnavailable: the host is out of processes, memory or
  // descriptors; kInvalid: the request cannot be (memory too small for the image, no channels).
  static Result<std::unique_ptr<Session>> Start(SessionRequest request);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Readable (POLLIN) when the process has ended. For poll and epoll; owned by the session.
  [[nodiscard]] int pidfd() const;
  [[nodiscard]] pid_t pid() const;
  // When the wall-clock limit strikes. The owner calls Kill(kTimedOut) then; Wait() does it itself.
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const;

  // Returns when a session that waits for a debugger has stopped itself, or when it has ended.
  void WaitUntilStopped();

  // Ends it now. `cause` is kTimedOut or kKilled; it shows in the report unless the session had
  // already ended by itself.
  void Kill(Cause cause);

  // Once the process has ended (pidfd readable): reaps it and tells all. Call once.
  SessionReport Collect();

  // For programs that run one session: waits for the end or the deadline, then collects.
  SessionReport Wait();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zerocloud::runtime
