#include "sandbox/runtime/transfer.h"

#include <asm/errno.h>

#include "sandbox/runtime/sys.h"

namespace zerocloud::runtime {
namespace {

// The kernel moves at most this much in one read or write (MAX_RW_COUNT is 2 GiB less a page).
constexpr int64_t kMaxTransfer = int64_t{1} << 30;

// What the sources of a vote are asked for at once.
constexpr int64_t kPieceSize = int64_t{64} << 10;
alignas(64) unsigned char pieces[kMaxSources][kPieceSize];  // costs nothing until it is used

// One source, whole. A page of guest memory that is not writable makes the kernel say EFAULT.
Transfer ReadOne(bool is_stream, int descriptor, uint64_t address, int64_t size, int64_t offset) {
  Transfer transfer;
  while (transfer.bytes < size) {
    int64_t piece = size - transfer.bytes;
    if (piece > kMaxTransfer) piece = kMaxTransfer;
    const auto to = address + static_cast<uint64_t>(transfer.bytes);
    const auto fd = static_cast<uint64_t>(descriptor);
    const int64_t got = is_stream ? Sys(SYS_read, fd, to, static_cast<uint64_t>(piece))
                                  : Sys(SYS_pread64, fd, to, static_cast<uint64_t>(piece),
                                        static_cast<uint64_t>(offset + transfer.bytes));
    if (got == -EINTR) continue;
    if (IsError(got)) {
      transfer.host_errno = -got;
      return transfer;
    }
    if (got == 0) return transfer;
    transfer.bytes += got;
  }
  return transfer;
}

Transfer WriteOne(bool is_stream, int descriptor, uint64_t address, int64_t size, int64_t offset) {
  Transfer transfer;
  while (transfer.bytes < size) {
    int64_t piece = size - transfer.bytes;
    if (piece > kMaxTransfer) piece = kMaxTransfer;
    const auto from = address + static_cast<uint64_t>(transfer.bytes);
    const auto fd = static_cast<uint64_t>(descriptor);
    const int64_t put = is_stream ? Sys(SYS_write, fd, from, static_cast<uint64_t>(piece))
                                  : Sys(SYS_pwrite64, fd, from, static_cast<uint64_t>(piece),
                                        static_cast<uint64_t>(offset + transfer.bytes));
    if (put == -EINTR) continue;
    if (IsError(put)) {
      transfer.host_errno = -put;
      return transfer;
    }
    transfer.bytes += put;
  }
  return transfer;
}

bool AreEqual(const unsigned char* a, const unsigned char* b, int64_t size) {
  unsigned char difference = 0;
  for (int64_t i = 0; i < size; ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

// The piece at `offset` as two sources agree on it: the index of one of them, its length in `size`.
// -1 when no two agree. The sources of a stream are all read, so that they stay in step.
int Vote(BlockChannel& channel, int descriptor, int64_t offset, int64_t& size) {
  const bool is_stream = channel.state.is_stream;
  int64_t got[kMaxSources];
  int winner = -1;
  uint32_t count = channel.source_count;
  if (count > kMaxSources) count = kMaxSources;
  for (uint32_t i = 0; i < count; ++i) {
    got[i] = -1;
    if ((channel.failed_sources & (1U << i)) != 0) continue;
    const Transfer read =
        ReadOne(is_stream, descriptor + static_cast<int>(i), Address(pieces[i]), size, offset);
    if (read.host_errno != 0) {
      channel.failed_sources |= 1U << i;
      continue;
    }
    got[i] = read.bytes;
    for (uint32_t k = 0; k < i && winner < 0; ++k) {
      if (got[k] == got[i] && AreEqual(pieces[k], pieces[i], got[i])) winner = static_cast<int>(k);
    }
    if (winner >= 0 && !is_stream) {
      count = i + 1;
      break;
    }
  }
  if (winner < 0) return -1;
  size = got[winner];
  for (uint32_t i = 0; i < count; ++i) {
    if (got[i] >= 0 && (got[i] != size || !AreEqual(pieces[i], pieces[winner], size))) {
      channel.outvoted_sources |= 1U << i;
    }
  }
  return winner;
}

}  // namespace

Transfer ReadSources(BlockChannel& channel, int first_descriptor, uint64_t host_address,
                     int64_t size, int64_t offset) {
  const int descriptor = first_descriptor + static_cast<int>(channel.first_source);
  if (channel.source_count <= 1) {
    return ReadOne(channel.state.is_stream, descriptor, host_address, size, offset);
  }
  Transfer transfer;
  while (transfer.bytes < size) {
    const int64_t left = size - transfer.bytes;
    const int64_t wanted = left < kPieceSize ? left : kPieceSize;
    int64_t piece = wanted;
    const int winner = Vote(channel, descriptor, offset + transfer.bytes, piece);
    if (winner < 0) {
      transfer.host_errno = kErrnoNoAgreement;
      return transfer;
    }
    // SAFETY: the caller has seen that the guest may write here, and nothing but this thread
    // changes what guest memory is.
    auto* to = PointerTo<unsigned char>(host_address + static_cast<uint64_t>(transfer.bytes));
    for (int64_t i = 0; i < piece; ++i) to[i] = pieces[winner][i];
    transfer.bytes += piece;
    if (piece < wanted) break;
  }
  return transfer;
}

Transfer WriteSources(const BlockChannel& channel, int first_descriptor, uint64_t host_address,
                      int64_t size, int64_t offset) {
  const int descriptor = first_descriptor + static_cast<int>(channel.first_source);
  Transfer transfer;
  for (uint32_t i = 0; i < channel.source_count; ++i) {
    transfer = WriteOne(channel.state.is_stream, descriptor + static_cast<int>(i), host_address,
                        size, offset);
    if (transfer.host_errno != 0) break;
  }
  return transfer;
}

}  // namespace zerocloud::runtime
