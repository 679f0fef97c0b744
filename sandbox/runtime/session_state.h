// Session::State: what the host keeps of one session. Private to the three files that implement
// Session: session_start.cc makes it and starts the process, session.cc watches the process and
// reaps it, session_report.cc tells what the process left.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/runtime/control_group.h"
#include "sandbox/runtime/keeper.h"
#include "sandbox/runtime/processor_place.h"
#include "sandbox/runtime/readiness.h"
#include "sandbox/runtime/session.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/snapshot.h"
#include "sandbox/runtime/zygote.h"

namespace zerocloud::runtime {

struct AddressSpace;
struct ChannelFacts;

struct UnmapBlock {
  std::size_t size = 0;
  void operator()(SessionBlock* block) const { munmap(block, size); }
};
using MappedBlock = std::unique_ptr<SessionBlock, UnmapBlock>;

struct Session::State {
  // What the report needs to know of a channel besides what the session counted; the bounds are
  // the host's own, since whoever broke into the session may have counted anything.
  struct Channel {
    std::string alias;
    bool wants_digest = false;
    bool is_mapped = false;
    channels::ChannelLimits limits;
    std::int64_t max_size = 0;
    std::uint32_t source_count = 1;
  };

  std::shared_ptr<const loader::Image> image;
  std::vector<Channel> channels;
  bool wants_memory_digest = false;
  std::chrono::milliseconds timeout{0};
  std::chrono::steady_clock::time_point started, deadline;
  std::uint64_t started_ticks = 0;  // of the time stamp counter, when `started` was
  std::uint32_t trace_capacity = 0;
  MappedBlock block;
  // Where the block's arrays are by the host's own count: the block's counts are in shared memory.
  const Region* block_regions = nullptr;
  const BlockChannel* block_channels = nullptr;
  const TraceCall* block_trace = nullptr;
  const unsigned char* block_stderr_tail = nullptr;
  std::uint32_t region_capacity = 0;
  UniqueFd pidfd;
  pid_t pid = -1;
  bool is_reaped = false;
  std::optional<Cause> killed_for;
  std::unique_ptr<Readiness> readiness;
  // What a snapshot needs, if one is wanted.
  UniqueFd snapshot_file;
  std::uint64_t memory_size = 0;
  std::vector<channels::ChannelSpec> specs;
  std::shared_ptr<Zygote> zygote;  // that it was cloned from; null: it was started by itself
  ProcessorPlace place;            // where it began; none if it was started by itself
  std::shared_ptr<MemoryWatch> memory_watch;
  std::unique_ptr<ControlGroup> control_group;
  std::chrono::microseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;
  std::uint64_t mapped_bytes = 0;  // of channels: resident, but no memory of the session's own

  // --- session_start.cc ---
  // The channels as the session starts, for its address space. Puts the readiness channel behind
  // those of the request if it is wanted.
  Result<std::vector<ChannelFacts>> StartChannels(SessionRequest& request);
  // Makes and fills the block; its file is for the session.
  Result<UniqueFd> MakeBlock(const SessionRequest& request, const AddressSpace& space,
                             const std::vector<ChannelFacts>& facts);
  // The file that a fork writes, and what is needed to make a snapshot of it.
  Result<void> PrepareSnapshot(const SessionRequest& request);
  // Starts the process, from a zygote if there is one.
  Result<void> StartProcess(const SessionRequest& request, int block_file);
  Result<void> StartFromZygote(const SessionRequest& request, std::vector<int> files,
                               int block_file);
  Result<void> StartAlone(const SessionRequest& request, const std::vector<int>& files,
                          int block_file);
  // Which of the required layers a session cannot have here.
  [[nodiscard]] Result<void> CheckLayers(const SessionRequest& request) const;
  // What must know the process: the control group and the watch over its memory.
  Result<void> Supervise();

  // --- session_report.cc ---
  // Fills `report` from what the process left and how it ended.
  void Explain(int status, SessionReport& report) const;
  void ExplainOwnEnd(SessionReport& report) const;
  void ExplainSignal(int signal, SessionReport& report) const;
  // Limits that were found exceeded only now. They change the cause.
  void ExplainLimits(SessionReport& report) const;
  [[nodiscard]] std::vector<ChannelUsage> Usage(bool is_complete) const;
  void CopyTrace(SessionReport& report) const;
  [[nodiscard]] std::string StderrTail() const;
  // After a fork: makes the snapshot. A report of a host error if it cannot be.
  void TakeSnapshot(SessionReport& report);
};

}  // namespace zerocloud::runtime
