// What a Session knows of its process, for session.cc, which starts and watches it, and
// session_report.cc, which tells how it ended. Nobody else includes it.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/channel_spec.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/control_group.h"
#include "sandbox/runtime/keeper.h"
#include "sandbox/runtime/readiness.h"
#include "sandbox/runtime/session.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/zygote.h"

namespace zerocloud::runtime {

struct Unmap {
  std::size_t size = 0;
  void operator()(SessionBlock* block) const { munmap(block, size); }
};
using MappedBlock = std::unique_ptr<SessionBlock, Unmap>;

struct Session::State {
  std::shared_ptr<const loader::Image> image;
  std::vector<std::string> aliases;
  std::vector<bool> wants_digest;
  std::vector<std::uint32_t> source_counts;
  bool wants_memory_digest = false;
  std::uint32_t trace_capacity = 0;
  std::uint64_t started_ticks = 0;  // of the time stamp counter, when `started` was
  std::chrono::milliseconds timeout{0};
  std::chrono::steady_clock::time_point started, deadline;
  MappedBlock block;
  // Where the block's arrays are by the host's own count: the block's counts are in shared memory.
  const Region* block_regions = nullptr;
  const BlockChannel* block_channels = nullptr;
  const TraceCall* block_trace = nullptr;
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
  std::shared_ptr<MemoryWatch> memory_watch;
  std::unique_ptr<ControlGroup> control_group;
  std::chrono::microseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;

  // Starts the process, from a zygote if there is one.
  Result<void> StartProcess(const SessionRequest& request, int block_file);
  // Which of the required layers a session cannot have here.
  [[nodiscard]] Result<void> CheckLayers(const SessionRequest& request) const;
  Result<void> WatchMemory();

  // Fills `report` from what the process left and how it ended.
  void Explain(int status, SessionReport& report) const;
  void CopyTrace(SessionReport& report) const;
  void ExplainOwnEnd(SessionReport& report) const;
  void ExplainSignal(int signal, SessionReport& report) const;
  // After a fork: makes the snapshot. A report of a host error if it cannot be.
  void TakeSnapshot(SessionReport& report);
};

}  // namespace zerocloud::runtime
