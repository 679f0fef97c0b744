// Any sequence of calls with any arguments, over an arena: no call may change memory that the guest
// cannot write, pass a limit, or harm the host.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>
#include <vector>

#include "sandbox/include/zvm.h"
#include "sandbox/runtime/calls.h"
#include "sandbox/runtime/calls_asked.h"
#include "sandbox/runtime/sys.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kText = ZVM_IMAGE_ADDRESS;
constexpr std::uint64_t kHeap = kText + 0x1000;
constexpr int kFiles = 3;
constexpr int kChannels = kFiles + 1;  // the last is asked
constexpr int kFirst = 500;
constexpr std::int64_t kFileBytes = 100;

void Check(bool holds) {
  if (!holds) std::abort();
}

// The host of the asked channel, as long as the process lives: all questions are whole, about bytes
// that the channel has, and nothing else is ever written to it.
void AnswerAll(int socket) {
  AskedRange range{};
  const std::vector<char> bytes(kFileBytes, 'a');
  for (;;) {
    Check(recv(socket, &range, sizeof range, MSG_WAITALL) == sizeof range);
    Check(range.offset >= 0 && range.size > 0 && range.offset <= kFileBytes - range.size);
    Check(send(socket, bytes.data(), static_cast<std::size_t>(range.size), 0) == range.size);
  }
}

struct Arena {
  void* memory;
  static constexpr std::uint32_t kRegions = 3, kCapacity = 12;
  Region regions[kCapacity] = {};

  // As a session starts, whatever the one before has jailed.
  void Reset() {
    const Region first[kRegions] = {
        {kText, 0x1000, 0, kRead | kExecute, RegionSource::kImage},
        {kHeap, 0x4000, 0, kRead | kWrite, RegionSource::kZero},
        {ZVM_STACK_ADDRESS, 0x2000, 0, kRead | kWrite, RegionSource::kZero}};
    std::copy(std::begin(first), std::end(first), regions);
    mprotect(static_cast<char*>(memory) + kHeap, 0x4000, PROT_READ | PROT_WRITE);
    std::memset(static_cast<char*>(memory) + kHeap, 0x90, 0x4000);
  }

  Arena() {
    memory =
        mmap(nullptr, kGuestEnd, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (const std::uint64_t address : {kText, std::uint64_t{ZVM_STACK_ADDRESS}}) {
      mprotect(static_cast<char*>(memory) + address, 0x1000, PROT_READ | PROT_WRITE);
    }
    mprotect(static_cast<char*>(memory) + ZVM_STACK_ADDRESS, 0x2000, PROT_READ | PROT_WRITE);
    std::memset(static_cast<char*>(memory) + kText, 0x5a, 0x1000);
    for (int i = 0; i < kFiles; ++i) {
      const int file = memfd_create("calls_fuzzer", 0);
      if (ftruncate(file, kFileBytes) != 0 || dup2(file, kFirst + i) < 0) std::abort();
      close(file);
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || dup2(ends[0], kFirst + kFiles) < 0) {
      std::abort();
    }
    close(ends[0]);
    std::thread(AnswerAll, ends[1]).detach();
  }
};

// In order, and what the guest made code is acceptable and cannot be written by the kernel.
void CheckRegions(const Calls& calls) {
  std::uint64_t end = 0;
  for (const Region& region : calls.memory) {
    Check(region.address >= end && region.size > 0);
    Check((region.access & (kWrite | kExecute)) != (kWrite | kExecute));
    end = region.address + region.size;
    if (region.source != RegionSource::kJailed) continue;
    auto* const bytes = PointerTo<unsigned char>(calls.memory.HostAddress(region.address));
    std::vector<std::uint32_t> scratch(verifier::ScratchWords(region.size));
    verifier::Violation violation;
    Check(
        verifier::IsAcceptable({bytes, region.size, region.address, 2}, scratch.data(), violation));
    Check(Sys(SYS_read, static_cast<std::uint64_t>(kFirst), Address(bytes), 1) <= 0);
  }
}

void RunCalls(Arena& arena, const std::uint8_t* data, std::size_t size) {
  using channels::AccessType;
  SessionBlock block{};
  BlockChannel channels[kChannels] = {};
  channels[0].state =
      channels::StartChannel(AccessType::kSequentialBoth, {50, 90, 0, 0}, 100, false);
  channels[1].state = channels::StartChannel(AccessType::kSequentialBoth, {0, 0, 50, 90}, 0, false);
  channels[2].state =
      channels::StartChannel(AccessType::kRandomBoth, {50, 300, 50, 300}, 100, false);
  channels[kFiles].state =
      channels::StartChannel(AccessType::kRandomBoth, {50, 300, 0, 0}, kFileBytes, false);
  channels[kFiles].is_asked = 1;
  for (std::uint32_t i = 0; i < kChannels; ++i) {
    channels[i].first_source = i;
    channels[i].source_count = 1;
  }
  channels[0].source_count = 3;  // all files of an arena begin alike
  Calls calls{
      &block,
      channels,
      kChannels,
      kFirst,
      GuestMemory(reinterpret_cast<std::uint64_t>(arena.memory), arena.regions, Arena::kRegions),
      [] {}};
  calls.regions = arena.regions;
  calls.region_capacity = Arena::kCapacity;
  unsigned char stderr_tail[kStderrTailSize];
  calls.stderr_tail = stderr_tail;
  block.isa_level = 2;
  arena.Reset();
  constexpr std::size_t kCallSize = 5 * sizeof(std::uint64_t);
  for (; size >= kCallSize; data += kCallSize, size -= kCallSize) {
    std::uint64_t words[5];
    std::memcpy(words, data, sizeof words);
    static constexpr std::uint64_t kNumbers[] = {ZVM_CALL_PREAD, ZVM_CALL_PWRITE, ZVM_CALL_JAIL,
                                                 ZVM_CALL_UNJAIL};
    const std::uint64_t number = words[0] % 5 < 4 ? kNumbers[words[0] % 5] : words[0];
    // Most numbers are no page of the heap.
    if (number == ZVM_CALL_JAIL && words[3] % 2 == 0) words[1] = kHeap + words[1] % 4 * kPageSize;
    Dispatch(calls, number, words[1], words[2], words[3], words[4]);
  }
  CheckRegions(calls);
  for (const BlockChannel& channel : channels) {
    Check(channel.state.gets <= channel.state.limits.gets);
    Check(channel.state.get_bytes <= channel.state.limits.get_size);
    Check(channel.state.puts <= channel.state.limits.puts);
    Check(channel.state.put_bytes <= channel.state.limits.put_size);
  }
  const auto* text = static_cast<const unsigned char*>(arena.memory) + kText;
  for (int i = 0; i < 0x1000; ++i) Check(text[i] == 0x5a);
}

}  // namespace
}  // namespace zerocloud::runtime

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static zerocloud::runtime::Arena arena;
  zerocloud::runtime::RunCalls(arena, data, size);
  return 0;
}
