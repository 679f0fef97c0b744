// The session block: one shared memory file through which the host tells the session launcher what
// to set up and the launcher tells what happened. The host fills it before the process starts and
// reads it after the process has ended, so it is complete even when the session was killed.
//
// A guest cannot reach it (it is mapped far above 4 GiB), but the host still treats what it reads
// back as hostile: only fixed-size numbers, each used by index of the host's own channel list.
//
// Layout: SessionBlock, then region_capacity Regions of which region_count are used, then run_count
// Regions, then channel_count BlockChannels, then trace_capacity TraceCalls, then manifest_size
// bytes for ZVM_MANIFEST_ADDRESS, then a ring of the last bytes that went to standard error.
// Freestanding.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "channels/channel_rules.h"
#include "channels/digest.h"
#include "sandbox/runtime/trace.h"

namespace zerocloud::runtime {

inline constexpr uint32_t kSessionBlockVersion = 4;

// Descriptors of a session process that the host starts itself. 0 and 1 are closed before the guest
// runs. Behind the channels come, where the block asks for them, the snapshot file that fork
// writes, and the one that the session starts from, which is closed before the guest runs, too. A
// session started by a zygote has the channels and what follows them at the same places
// (zygote_protocol.h).
inline constexpr int kBlockDescriptor = 0;
inline constexpr int kImageDescriptor = 1;
inline constexpr int kFirstChannelDescriptor = 2;

// Of one channel; as channels::kMaxSources.
inline constexpr uint32_t kMaxSources = 16;

// /dev/stderr is always this channel.
inline constexpr uint32_t kStderrHandle = 2;
inline constexpr int64_t kStderrTailSize = 4096;

// Where guest addresses end, and where the guard above them does: the largest displacement (2 GiB)
// plus the widest access from the highest stack pointer stay below it (docs/verifier.md).
inline constexpr uint64_t kGuestEnd = uint64_t{1} << 32;
inline constexpr uint64_t kGuardEnd = uint64_t{7} << 30;

inline constexpr uint64_t kPageSize = 4096;

// Pieces of the heap that a guest may make code at once.
inline constexpr uint32_t kMaxJailedRegions = 64;

enum RegionAccess : uint32_t { kRead = 1, kWrite = 2, kExecute = 4 };
enum class RegionSource : uint32_t {
  kZero,      // anonymous memory
  kImage,     // private mapping of the image's memory file at image_offset
  kManifest,  // anonymous memory, filled with the block's manifest bytes
  kGate,      // anonymous memory, filled with the gate
  kSnapshot,  // private mapping of the snapshot's memory file at image_offset
  kChannel,   // private mapping of the file of channel image_offset, from its start
  kJailed,    // anonymous memory that the guest has made code: verified, or it would not be here
};

// A run of guest pages. Regions are sorted, do not overlap, and are whole pages.
struct Region {
  uint64_t address;
  uint64_t size;
  uint64_t image_offset;
  uint32_t access;  // RegionAccess bits; never kWrite with kExecute
  RegionSource source;
};

// Data that was zeros at the start, all of it the guest's: what it may make code.
inline bool IsPlainData(const Region& region) {
  return region.source == RegionSource::kZero && region.access == (kRead | kWrite);
}

// What a snapshot holds: everything that the guest can have changed.
inline bool IsGuestMade(const Region& region) {
  return (region.access & kWrite) != 0 || region.source == RegionSource::kJailed;
}

// How far a session came. A process that ends in kSetup was never a guest.
enum class Phase : uint32_t { kSetup, kRunning, kEnded };

// Why a session ended by itself; the host knows of the other causes (runtime::Cause).
enum class EndCause : uint32_t {
  kNone,
  kExited,
  kFaulted,
  kChannelIo,
  kTrustedFault,
  kForked,
  kSnapshotIo,
  kCpuLimit,
};

// The step of the launcher that failed, for the message of a session that could not be set up.
enum class SetupStep : uint32_t {
  kStart,
  kParent,
  kBlock,
  kPersonality,
  kProcessor,
  kIdentity,
  kDescriptors,
  kLimits,
  kReserve,
  kMap,
  kSignals,
  kSegments,
  kFilter,
};

// What a guest that called fork goes on with; every other register is cleared. As in gate_layout.h.
struct GuestRegisters {
  uint64_t rbx, rbp, r12, r13, r14, r15;
  uint64_t rsp;  // points at the return address
  uint32_t mxcsr;
  uint16_t fcw;
  uint16_t reserved;
};

struct BlockChannel {
  channels::ChannelState state;
  channels::Digest digest;  // used if wants_digest
  uint32_t wants_digest;
  // Its sources are so many descriptors, counted from kFirstChannelDescriptor + first_source.
  uint32_t first_source;
  uint32_t source_count;

  // Written by the launcher, a bit for each source of several that are read.
  uint32_t failed_sources;    // could not be read, and was not asked again
  uint32_t outvoted_sources;  // gave other bytes than two others
  uint32_t is_asked;          // calls_asked.h: it has one source then
};

struct SessionBlock {
  uint32_t version;
  uint32_t region_count;
  uint32_t channel_count;
  uint32_t wants_memory_digest;
  uint64_t manifest_size;
  uint64_t entry;
  int32_t parent_pid;        // the launcher ends if its parent is another by now
  uint32_t cpu_seconds;      // RLIMIT_CPU, behind the host's own clock
  uint32_t unprivileged_id;  // user and group to become when started as root
  uint32_t source_count;     // of all channels: how many descriptors follow the first ones
  uint32_t trace_capacity;

  // Written by the launcher.
  Phase phase;
  SetupStep setup_step;
  int32_t setup_errno;
  EndCause end_cause;
  int32_t exit_code;
  int32_t signal;
  int32_t channel;
  int32_t host_errno;
  uint32_t reserved;
  uint64_t trace_count;  // of calls, also of those that found no room
  uint64_t pc;
  uint64_t fault_address;
  channels::Digest memory_digest;

  // Snapshots and jails.
  uint32_t region_capacity;     // regions() has room for so many: a jail cuts one into three
  uint32_t isa_level;           // jailed code may need this x86-64 level, like the image
  uint32_t wants_snapshot;      // fork writes guest memory to the snapshot file, else it returns 0
  uint32_t run_count;           // snapshot pages, mapped over the regions after they are
  uint32_t resumes;             // start with `registers` after fork, not at `entry`
  uint32_t waits_for_debugger;  // the process can be traced, and stops before its first step
  GuestRegisters registers;     // to start with; when a session has forked, those of the guest
  uint64_t cpu_limit_microseconds;  // by the host; 0: no other than cpu_seconds
  uint32_t layers;                  // by the launcher: policy::Layer bits of the second wall
  uint32_t reserved_2;
  uint64_t data_limit;       // RLIMIT_DATA, besides what the launcher needs itself
  uint64_t file_size_limit;  // RLIMIT_FSIZE
  uint64_t stderr_bytes;     // by the launcher: written to the channel kStderrHandle

  Region* regions() { return reinterpret_cast<Region*>(this + 1); }
  Region* runs() { return regions() + region_capacity; }
  BlockChannel* channels() { return reinterpret_cast<BlockChannel*>(runs() + run_count); }
  TraceCall* trace() { return reinterpret_cast<TraceCall*>(channels() + channel_count); }
  unsigned char* manifest() { return reinterpret_cast<unsigned char*>(trace() + trace_capacity); }
  // A ring: byte n that was written is at n % kStderrTailSize.
  unsigned char* stderr_tail() { return manifest() + manifest_size; }

  // `regions` counts the room for regions and the runs.
  static constexpr uint64_t SizeFor(uint64_t regions, uint64_t channel_count,
                                    uint64_t trace_capacity, uint64_t manifest_size) {
    return sizeof(SessionBlock) + regions * sizeof(Region) + channel_count * sizeof(BlockChannel) +
           trace_capacity * sizeof(TraceCall) + manifest_size + kStderrTailSize;
  }
};

}  // namespace zerocloud::runtime
