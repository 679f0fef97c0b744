#include "sandbox/runtime/calls.h"

#include <asm/errno.h>

#include "channels/channel_rules.h"
#include "sandbox/include/zvm.h"
#include "sandbox/runtime/calls_asked.h"
#include "sandbox/runtime/fork.h"
#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/sys.h"
#include "sandbox/runtime/transfer.h"

namespace zerocloud::runtime {
namespace {

// The host could not do what it promised: the session ends, unless the guest's own memory or the
// reader at the other end is the reason.
int64_t FailTransfer(Calls& calls, int32_t handle, int64_t host_errno) {
  if (host_errno == EFAULT || host_errno == EPIPE) return -host_errno;
  calls.block->channel = handle;
  calls.block->host_errno = static_cast<int32_t>(host_errno);
  EndSession(calls, EndCause::kChannelIo);
  return -EIO;
}

// Reads guest memory from trusted code, which is safe here and only here: the kernel has just
// copied from or to these bytes, every region is anonymous memory or a private mapping of a sealed
// file (nothing can shrink it), and nobody else writes guest memory, so neither a fault nor a
// second value is possible.
void UpdateDigest(BlockChannel& channel, const GuestMemory& memory, uint64_t address,
                  int64_t bytes) {
  if (channel.wants_digest == 0 || bytes <= 0) return;
  channels::DigestUpdate(channel.digest, PointerTo<const void>(memory.HostAddress(address)),
                         static_cast<uint64_t>(bytes));
}

// The last words of a session, wherever they went: a pipe cannot be asked. Safe as above.
void KeepStderrTail(Calls& calls, uint64_t address, int64_t bytes) {
  const auto* from = PointerTo<const unsigned char>(calls.memory.HostAddress(address));
  int64_t i = bytes > kStderrTailSize ? bytes - kStderrTailSize : 0;
  const uint64_t before = calls.block->stderr_bytes;
  for (; i < bytes; ++i) {
    calls.stderr_tail[(before + static_cast<uint64_t>(i)) % kStderrTailSize] = from[i];
  }
  calls.block->stderr_bytes = before + static_cast<uint64_t>(bytes);
}

int64_t Pread(Calls& calls, uint64_t handle, uint64_t address, int64_t size, int64_t offset) {
  const auto index = static_cast<uint32_t>(handle);  // an int32_t of the guest: the low half counts
  if (index >= calls.channel_count) return -EINVAL;
  BlockChannel& channel = calls.channels[index];
  const channels::ArgumentCheck check = channels::CheckReadArguments(channel.state, size, offset);
  if (check.is_done) return check.result;
  if (!calls.memory.Contains(address, static_cast<uint64_t>(size), kWrite)) return -EINVAL;

  const channels::Decision decision = channels::DecideRead(channel.state, size, offset);
  if (decision.step == channels::Step::kDone) return decision.result;
  unsigned char probe;
  const bool is_probe = decision.step == channels::Step::kProbe;
  const uint64_t to = is_probe ? Address(&probe) : calls.memory.HostAddress(address);
  const int64_t wanted = is_probe ? 1 : decision.bytes;
  const int64_t from = is_probe ? 0 : decision.offset;
  Transfer transfer;
  if (channel.is_asked != 0) {
    const int descriptor = calls.first_descriptor + static_cast<int>(channel.first_source);
    transfer = {wanted, ReadAsked(descriptor, to, wanted, from)};
  } else {
    transfer = ReadSources(channel, calls.first_descriptor, to, wanted, from);
  }
  if (transfer.host_errno != 0) {
    return FailTransfer(calls, static_cast<int32_t>(index), transfer.host_errno);
  }
  if (!is_probe) UpdateDigest(channel, calls.memory, address, transfer.bytes);
  return channels::CompleteRead(channel.state, decision, transfer.bytes);
}

int64_t Pwrite(Calls& calls, uint64_t handle, uint64_t address, int64_t size, int64_t offset) {
  const auto index = static_cast<uint32_t>(handle);
  if (index >= calls.channel_count) return -EINVAL;
  BlockChannel& channel = calls.channels[index];
  const channels::ArgumentCheck check = channels::CheckWriteArguments(channel.state, size, offset);
  if (check.is_done) return check.result;
  if (!calls.memory.Contains(address, static_cast<uint64_t>(size), kRead)) return -EINVAL;

  const channels::Decision decision = channels::DecideWrite(channel.state, size, offset);
  if (decision.step == channels::Step::kDone) return decision.result;
  const Transfer transfer =
      WriteSources(channel, calls.first_descriptor, calls.memory.HostAddress(address),
                   decision.bytes, decision.offset);
  if (transfer.host_errno != 0) {
    return FailTransfer(calls, static_cast<int32_t>(index), transfer.host_errno);
  }
  UpdateDigest(channel, calls.memory, address, transfer.bytes);
  if (index == kStderrHandle && calls.stderr_tail != nullptr) {
    KeepStderrTail(calls, address, transfer.bytes);
  }
  return channels::CompleteWrite(channel.state, decision, transfer.bytes);
}

int64_t Perform(Calls& calls, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  // The number is an int of the guest: only its low half counts.
  switch (static_cast<uint32_t>(number)) {
    case ZVM_CALL_PREAD:
      return Pread(calls, a, b, static_cast<int64_t>(c), static_cast<int64_t>(d));
    case ZVM_CALL_PWRITE:
      return Pwrite(calls, a, b, static_cast<int64_t>(c), static_cast<int64_t>(d));
    case ZVM_CALL_EXIT:
      calls.block->exit_code = static_cast<int32_t>(a);
      EndSession(calls, EndCause::kExited);
      return 0;
    case ZVM_CALL_FORK:
      return Fork(calls);
    case ZVM_CALL_JAIL:
      return Jail(calls, a, b);
    case ZVM_CALL_UNJAIL:
      return Unjail(calls, a, b);
    default:
      return -EPERM;
  }
}

}  // namespace

void EndSession(Calls& calls, EndCause cause) {
  SessionBlock& block = *calls.block;
  if (block.phase != Phase::kEnded) {
    block.end_cause = cause;
    if (block.wants_memory_digest != 0 && cause == EndCause::kExited) {
      for (const Region& region : calls.memory) {
        if ((region.access & kRead) == 0 || region.source == RegionSource::kGate) continue;
        if (region.source == RegionSource::kChannel) continue;  // an input, not the guest's
        channels::DigestUpdate(block.memory_digest,
                               PointerTo<const void>(calls.memory.HostAddress(region.address)),
                               region.size);
      }
    }
    block.phase = Phase::kEnded;
  }
  calls.end_session();
}

int64_t Dispatch(Calls& calls, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  if (calls.trace_capacity == 0) return Perform(calls, number, a, b, c, d);
  const uint64_t index = calls.block->trace_count++;
  if (index >= calls.trace_capacity) return Perform(calls, number, a, b, c, d);
  TraceCall& traced = calls.trace[index];
  traced = {__builtin_ia32_rdtsc(), 0, number, {a, b, c, d}, 0};
  traced.result = Perform(calls, number, a, b, c, d);
  traced.end = __builtin_ia32_rdtsc();
  return traced.result;
}

}  // namespace zerocloud::runtime
