// Snapshot: where a guest called fork, ready for any number of sessions to go on from. Made by the
// host out of what the session process left: a memory file with the guest's pages and a few numbers
// in the session block. Immutable once made, so thread-safe.
//
// A session process that was broken into can leave anything, so Make() checks as strictly as the
// loader checks a program: text and read-only data come from the verified image alone; pages of the
// snapshot lie only in memory that the guest could write, are whole, and are mapped without the
// right to execute; code that the guest had jailed is verified again in the sealed file; the stack
// pointer is in writable memory, and the way back is the gate's own masked return.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/channel_rules.h"
#include "channels/channel_spec.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/session_block.h"

namespace zerocloud::runtime {

// Each run costs a mapping when a session starts. Where there are more, small gaps are mapped too.
inline constexpr std::size_t kMaxSnapshotRuns = 512;

// Where a sequential channel stood.
struct ChannelPosition {
  std::int64_t get_position = 0, put_position = 0;
  bool is_at_end = false;
};

// What the session process left, unchecked.
struct ForkedState {
  GuestRegisters registers{};
  std::vector<Region> jailed;  // code that the guest made
  std::vector<ChannelPosition> positions;
};

class Snapshot {
 public:
  // The file for a session process to write: a memory file of kGuestEnd bytes, all of it a hole,
  // that cannot change its size.
  static Result<UniqueFd> NewFile();

  // Seals `file` and checks everything. `channels` are those of the session that forked, in handle
  // order. kRejectedCode: what the session left is no state that a guest can be in.
  static Result<std::shared_ptr<const Snapshot>> Make(std::shared_ptr<const loader::Image> image,
                                                      std::uint64_t memory_size,
                                                      std::vector<channels::ChannelSpec> channels,
                                                      ForkedState state, UniqueFd file);

  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  [[nodiscard]] const std::shared_ptr<const loader::Image>& image() const { return image_; }
  [[nodiscard]] std::uint64_t memory_size() const { return memory_size_; }
  [[nodiscard]] int memory_file() const { return file_.get(); }
  [[nodiscard]] const GuestRegisters& registers() const { return state_.registers; }
  // Sorted and disjoint: what to map over the regions, and what of the heap is code.
  [[nodiscard]] const std::vector<Region>& runs() const { return runs_; }
  [[nodiscard]] const std::vector<Region>& jailed() const { return state_.jailed; }

  // Whether a session may go on with these channels: as many, with the same aliases, types and
  // limits. kInvalid names the first that differs. Sources, digests and sizes may differ.
  [[nodiscard]] Result<void> CheckChannels(
      const std::vector<const channels::ChannelSpec*>& specs) const;

  // The state that channel `index` goes on with; `fresh` is that of a session that starts anew.
  // Sequential positions and the end of a stream are kept, so that a new output begins with a hole;
  // one that appends goes after what its file has by now. Counters start at zero.
  [[nodiscard]] channels::ChannelState Continue(std::size_t index,
                                                const channels::ChannelState& fresh) const;

 private:
  Snapshot(std::shared_ptr<const loader::Image> image, std::uint64_t memory_size,
           std::vector<channels::ChannelSpec> channels, ForkedState state, UniqueFd file)
      : image_(std::move(image)),
        memory_size_(memory_size),
        channels_(std::move(channels)),
        state_(std::move(state)),
        file_(std::move(file)) {}

  std::shared_ptr<const loader::Image> image_;
  std::uint64_t memory_size_;
  std::vector<channels::ChannelSpec> channels_;
  ForkedState state_;
  UniqueFd file_;
  std::vector<Region> runs_;
};

}  // namespace zerocloud::runtime
