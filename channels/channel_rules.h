// What pread and pwrite on a channel may do: pure decisions over the state of one channel, apart
// from any host call. The session launcher drives them at every call, tests and fuzzers without a
// guest. Freestanding (no libc, no allocation, integer registers only) and constexpr; safe for
// every value of every argument: no addition can overflow, no counter can pass its limit.
//
// The order of a call in the gate:
//
//   1. the handle is checked (the gate)                        -EINVAL
//   2. CheckArguments(state, size, offset)                     -EFAULT, -EINVAL, or 0 for size 0
//   3. [buffer, buffer + size) lies in guest memory (the gate) -EINVAL
//   4. DecideRead / DecideWrite: end of file, limits, range    a result, or what to transfer
//   5. the transfer (the gate), whole unless the channel ends: a stream is read in a loop
//   6. CompleteRead / CompleteWrite with the bytes transferred; its value is the call's result
//
// A transfer that fails on the host ends the session; step 6 is not reached then.
//
// The rules are ZeroVM's with its traps mended; docs/abi.md lists every value that differs. In
// short: the end of a file is always 0, is free of charge, and comes before any limit; a limit that
// is used up is always -EDQUOT; the wrong direction is -EBADF; a file never grows beyond its old
// length plus put_size.
#pragma once

#include <cstdint>

#include "channels/access_type.h"

namespace zerocloud::channels {

// Linux errno numbers, as guests see them: <cerrno> is not freestanding.
inline constexpr std::int64_t kErrnoBadHandle = 9;    // EBADF
inline constexpr std::int64_t kErrnoFault = 14;       // EFAULT
inline constexpr std::int64_t kErrnoInvalid = 22;     // EINVAL
inline constexpr std::int64_t kErrnoOverQuota = 122;  // EDQUOT

// One channel of a running session. Made by StartChannel; changed only by the functions below.
struct ChannelState {
  ChannelLimits limits;
  AccessType type = AccessType::kSequentialBoth;
  bool is_stream = false;  // no offsets on the host: sequential whatever the type says
  bool is_at_end = false;  // a sequential source has ended: every later read is 0
  // A get limit withheld bytes that the guest asked for. Of a stream that was not read beyond its
  // limit: or would have, if there were more.
  bool hit_get_limit = false;
  bool hit_put_limit = false;    // a put limit refused or cut a write
  bool is_known_longer = false;  // a stream has more than its limit: nobody need look again
  std::int64_t gets = 0, get_bytes = 0, puts = 0, put_bytes = 0;  // used so far, <= limits
  std::int64_t get_position = 0, put_position = 0;                // of the sequential directions
  std::int64_t size = 0;      // the logical size now: what a writable file is cut to at the end
  std::int64_t max_size = 0;  // no write ends beyond it: size at start + put_size
};

constexpr bool IsReadable(const ChannelState& state) {
  return state.limits.gets > 0 && state.limits.get_size > 0;
}
constexpr bool IsWritable(const ChannelState& state) {
  return state.limits.puts > 0 && state.limits.put_size > 0;
}
constexpr bool IsSequentialGet(const ChannelState& state) {
  return state.is_stream || !HasRandomGet(state.type);
}
constexpr bool IsSequentialPut(const ChannelState& state) {
  return state.is_stream || !HasRandomPut(state.type);
}

// `size` is the file's length when the session starts: 0 for a stream and for a file that the
// channel only writes (it was cut to nothing). A sequential writer that can also read appends.
// Negative limits and sizes count as 0.
constexpr ChannelState StartChannel(AccessType type, ChannelLimits limits, std::int64_t size,
                                    bool is_stream) {
  constexpr std::int64_t kMax = INT64_MAX;
  const auto at_least_0 = [](std::int64_t value) { return value < 0 ? 0 : value; };
  ChannelState state;
  state.limits = {at_least_0(limits.gets), at_least_0(limits.get_size), at_least_0(limits.puts),
                  at_least_0(limits.put_size)};
  state.type = type;
  state.is_stream = is_stream;
  state.size = is_stream ? 0 : at_least_0(size);
  state.put_position = IsReadable(state) ? state.size : 0;
  state.max_size =
      state.limits.put_size > kMax - state.size ? kMax : state.size + state.limits.put_size;
  return state;
}

// What the user manifest tells the guest: 0 for a channel that is sequential both ways.
constexpr std::int64_t VisibleSize(const ChannelState& state) {
  return state.type == AccessType::kSequentialBoth ? 0 : state.size;
}

enum class Step : std::uint8_t {
  kDone,      // no transfer: `result` is the call's result
  kTransfer,  // move `bytes` (> 0) at `offset` (no meaning for a stream)
  kProbe,     // read one byte into the gate's own memory, to learn whether the stream has ended;
              // DecideRead only. The byte, if there is one, is dropped: the guest may not have it.
};

struct Decision {
  Step step = Step::kDone;
  std::int64_t result = 0;
  std::int64_t bytes = 0;
  std::int64_t offset = 0;
};

constexpr Decision Done(std::int64_t result) { return {.step = Step::kDone, .result = result}; }

// What can be said before the buffer is looked at. `is_sequential` is that of the call's direction:
// a sequential channel ignores the offset, even a negative one.
struct ArgumentCheck {
  bool is_done = false;  // `result` is the call's result
  std::int64_t result = 0;
};
constexpr ArgumentCheck CheckArguments(bool is_sequential, std::int64_t size, std::int64_t offset) {
  if (size < 0) return {true, -kErrnoFault};
  if (!is_sequential && offset < 0) return {true, -kErrnoInvalid};
  return {size == 0, 0};
}
constexpr ArgumentCheck CheckReadArguments(const ChannelState& state, std::int64_t size,
                                           std::int64_t offset) {
  return CheckArguments(IsSequentialGet(state), size, offset);
}
constexpr ArgumentCheck CheckWriteArguments(const ChannelState& state, std::int64_t size,
                                            std::int64_t offset) {
  return CheckArguments(IsSequentialPut(state), size, offset);
}

// Repeats the argument checks, so it may be called with anything.
constexpr Decision DecideRead(ChannelState& state, std::int64_t size, std::int64_t offset) {
  const ArgumentCheck check = CheckReadArguments(state, size, offset);
  if (check.is_done) return Done(check.result);
  if (!IsReadable(state)) return Done(-kErrnoBadHandle);
  if (state.is_at_end) return Done(0);

  const std::int64_t limit_left =
      state.gets < state.limits.gets ? state.limits.get_size - state.get_bytes : 0;
  if (state.is_stream) {
    // How much there is cannot be known: only a byte beyond the limit tells it from the end.
    if (limit_left <= 0)
      return state.is_known_longer ? Done(-kErrnoOverQuota) : Decision{Step::kProbe};
    state.hit_get_limit = size > limit_left;
    const std::int64_t bytes = size < limit_left ? size : limit_left;
    return {.step = Step::kTransfer, .bytes = bytes, .offset = state.get_position};
  }

  const std::int64_t start = IsSequentialGet(state) ? state.get_position : offset;
  if (start >= state.size) return Done(0);
  const std::int64_t file_left = state.size - start;
  const std::int64_t wanted = size < file_left ? size : file_left;
  if (wanted > limit_left) state.hit_get_limit = true;
  if (limit_left <= 0) return Done(-kErrnoOverQuota);
  const std::int64_t bytes = wanted < limit_left ? wanted : limit_left;
  return {.step = Step::kTransfer, .bytes = bytes, .offset = start};
}

// `transferred` <= decision.bytes (1 for a probe); fewer, also 0, means that the source has ended.
// Reading the end is not counted as a get.
constexpr std::int64_t CompleteRead(ChannelState& state, const Decision& decision,
                                    std::int64_t transferred) {
  if (decision.step == Step::kDone) return decision.result;
  if (decision.step == Step::kProbe) {
    state.is_at_end = transferred <= 0;
    state.hit_get_limit = state.is_known_longer = !state.is_at_end;
    return state.is_at_end ? 0 : -kErrnoOverQuota;
  }
  if (transferred < 0) transferred = 0;
  if (transferred > decision.bytes) transferred = decision.bytes;
  if (IsSequentialGet(state)) {
    state.is_at_end = transferred < decision.bytes;
    if (state.is_at_end) state.hit_get_limit = false;
    state.get_position = decision.offset + transferred;
  }
  if (transferred > 0) ++state.gets;
  state.get_bytes += transferred;
  return transferred;
}

// Repeats the argument checks, so it may be called with anything. Never kProbe.
constexpr Decision DecideWrite(ChannelState& state, std::int64_t size, std::int64_t offset) {
  const ArgumentCheck check = CheckWriteArguments(state, size, offset);
  if (check.is_done) return Done(check.result);
  if (!IsWritable(state)) return Done(-kErrnoBadHandle);
  if (state.puts >= state.limits.puts) {
    state.hit_put_limit = true;
    return Done(-kErrnoOverQuota);
  }

  const bool is_sequential = IsSequentialPut(state);
  const std::int64_t start = is_sequential ? state.put_position : offset;
  if (!is_sequential && start >= state.max_size) return Done(-kErrnoInvalid);
  std::int64_t left = state.limits.put_size - state.put_bytes;
  // A sequential writer reaches both bounds at once, except where max_size saturated.
  const std::int64_t room = start < state.max_size ? state.max_size - start : 0;
  if (room < left) left = room;
  if (size > left) state.hit_put_limit = true;
  if (left <= 0) return Done(-kErrnoOverQuota);
  const std::int64_t bytes = size < left ? size : left;
  return {.step = Step::kTransfer, .bytes = bytes, .offset = start};
}

// `transferred` <= decision.bytes.
constexpr std::int64_t CompleteWrite(ChannelState& state, const Decision& decision,
                                     std::int64_t transferred) {
  if (decision.step == Step::kDone) return decision.result;
  if (transferred < 0) transferred = 0;
  if (transferred > decision.bytes) transferred = decision.bytes;
  const std::int64_t end = decision.offset + transferred;
  if (IsSequentialPut(state)) state.put_position = end;
  if (end > state.size && transferred > 0) state.size = end;
  ++state.puts;
  state.put_bytes += transferred;
  return transferred;
}

}  // namespace zerocloud::channels
