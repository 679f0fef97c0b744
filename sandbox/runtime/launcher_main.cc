// zvm-session: the session launcher. TRUSTED. It gives up every right it does not need, builds the
// guest's address space and jumps in. It is a static executable without a C library, so that the
// low 4 GiB are empty and a session costs little.
//
// There are two ways to a session. The host starts the launcher for one session, with the session
// block, the image's memory file and the channels as its only descriptors (session_block.h). Or it
// starts the launcher once as a zygote, which clones itself for every session: that costs less,
// and rights that take long to give up are given up once (launcher_zygote.cc).
//
// Order matters: rights are dropped before guest memory exists, the filter goes up last.

#include <asm/errno.h>
#include <cpuid.h>
#include <elf.h>
#include <linux/personality.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <initializer_list>

#include "sandbox/include/zvm.h"
#include "sandbox/runtime/calls.h"
#include "sandbox/runtime/gate_layout.h"
#include "sandbox/runtime/launcher.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/sys.h"
#include "sandbox/runtime/zygote_protocol.h"

namespace zerocloud::runtime {
namespace {

// Hidden: found relative to rip, so that nothing needs a relocation that nobody would apply.
#pragma GCC visibility push(hidden)
extern "C" {
extern const unsigned char __ehdr_start[], _end[];  // NOLINT(bugprone-reserved-identifier): lld's
extern const unsigned char gate_page_code[], gate_page_code_end[];
extern const unsigned char gate_entry[], gate_return_mask[], gate_return[], signal_restorer[];
[[noreturn]] void enter_guest(uint64_t entry);
[[noreturn]] void resume_guest();
int64_t gate_dispatch(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
[[noreturn]] void launcher_main(const uint64_t* kernel_block);
void* memcpy(void* __restrict to, const void* __restrict from, size_t size);
void* memset(void* to, int value, size_t size);
}
#pragma GCC visibility pop

// asm/prctl.h and linux/signal.h clash with the C library's headers.
constexpr uint64_t kArchSetGs = 0x1001;
constexpr uint64_t kArchSetFs = 0x1002;
constexpr uint64_t kAtMinSigStackSize = 51;
constexpr uint64_t kSaRestorer = 0x04000000;
constexpr uint64_t kSigSetBytes = 8;
constexpr uint64_t kSignalIgnored = 1;  // SIG_IGN as the kernel knows it

constexpr uint64_t kTrustedStackSize = 64 << 10;
constexpr uint64_t kNullEnd = 64 << 10;

struct KernelSigaction {
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

static_assert(sizeof(GuestRegisters) == GATE_WORDS_SIZE - GATE_GUEST_RBX &&
              offsetof(GuestRegisters, rsp) == GATE_GUEST_RSP - GATE_GUEST_RBX &&
              offsetof(GuestRegisters, fcw) == GATE_GUEST_FCW - GATE_GUEST_RBX);

// What %gs points at: see gate_layout.h.
struct alignas(64) GateWords {
  unsigned char bytes[GATE_WORDS_SIZE];
  template <typename T>
  T& At(size_t offset) {
    return *reinterpret_cast<T*>(bytes + offset);
  }
};

// All that every session writes, in one page, which a clone of the zygote has to copy. The gate's
// words come first: the processor looks at more of the last of them than there is, at where the
// vector state would be that no session has yet.
struct alignas(kPageSize) TrustedWords {
  GateWords gate;
  uint64_t thread[8];  // what %fs points at; code with a stack protector reads %fs:0x28
  Calls* calls;        // made in launcher_main's frame, which never ends
  uint64_t signal_stack_size;
};

TrustedWords trusted;
alignas(16) unsigned char trusted_stack[kTrustedStackSize];

void EndProcess() { Exit(0); }

// The channel of the region that has `address`, or -1: a file that became shorter while it was
// mapped is an input that failed, whoever touched it.
int32_t FindMappedChannel(uint64_t address) {
  for (const Region& region : trusted.calls->memory) {
    if (region.source == RegionSource::kChannel && region.address <= address &&
        address - region.address < region.size) {
      return static_cast<int32_t>(region.image_offset);
    }
  }
  return -1;
}

// Any fault: says whose it was and ends the process. So does the end of the processor time that the
// session may use. On the alternate stack, never returns.
void HandleFault(int signal, siginfo_t* info, void* context) {
  const auto pc =
      static_cast<uint64_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  const bool is_gate_return = pc == Address(gate_return_mask) || pc == Address(gate_return);
  SessionBlock& block = *trusted.calls->block;
  block.signal = signal;
  block.pc = is_gate_return ? ZVM_GATE_ADDRESS : pc;
  block.fault_address = signal == SIGSEGV || signal == SIGBUS ? Address(info->si_addr) : 0;
  if (signal == SIGPROF) {
    EndSession(*trusted.calls, EndCause::kCpuLimit);
    Exit(0);
  }
  if (signal == SIGBUS && FindMappedChannel(block.fault_address) >= 0) {
    block.channel = FindMappedChannel(block.fault_address);
    block.host_errno = ESTALE;
    EndSession(*trusted.calls, EndCause::kChannelIo);
    Exit(0);
  }
  const bool is_guest = pc < kGuestEnd || is_gate_return;
  EndSession(*trusted.calls, is_guest ? EndCause::kFaulted : EndCause::kTrustedFault);
  Exit(0);
}

// The size of a file that the host has just made, 0 if there is none.
uint64_t SizeOf(int descriptor) {
  struct {
    unsigned char before[48];
    int64_t size;
    unsigned char after[88];
  } status;
  static_assert(sizeof status == 144, "struct stat of x86-64");
  const int64_t result = Sys(SYS_fstat, static_cast<uint64_t>(descriptor), Address(&status));
  return IsError(result) ? 0 : static_cast<uint64_t>(status.size);
}

// The descriptors behind the channels: see session_block.h.
int SnapshotOutput(const SessionBlock* block) {
  return kFirstChannelDescriptor + static_cast<int>(block->source_count);
}
int SnapshotInput(const SessionBlock* block) {
  return SnapshotOutput(block) + (block->wants_snapshot != 0 ? 1 : 0);
}

// The host's death is ours. It may have died before we said so: then its end of the control socket
// is closed, or, if it started us itself, another is our parent.
void BindToHost(SessionBlock* block, bool is_clone, uint32_t& layers) {
  if (!IsWanted(policy::Layer::kDiesWithHost)) return;
  Check(block, SetupStep::kParent, Sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL));
  const bool has_died = is_clone ? IsHostGone() : Sys(SYS_getppid) != block->parent_pid;
  if (has_died) FailSetup(block, SetupStep::kParent, -ESRCH);
  layers |= policy::Layer::kDiesWithHost;
}

// Read-implies-execute, a mapped page zero and the like would undo the first wall.
void CheckPersonality(SessionBlock* block) {
  const int64_t persona = Sys(SYS_personality, 0xffffffff);
  Check(block, SetupStep::kPersonality, persona);
  if ((persona & ~int64_t{ADDR_NO_RANDOMIZE}) != 0) {
    FailSetup(block, SetupStep::kPersonality, -EPERM);
  }
}

// Everything from the lowest address that may be mapped to the end of the guard becomes ours, or
// the session does not start: whatever already lay there would be in the guest's reach.
void Reserve(SessionBlock* block) {
  Check(block, SetupStep::kReserve, Sys(SYS_munmap, 0, kNullEnd));
  const uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  for (const uint64_t start : {uint64_t{kPageSize}, kNullEnd}) {
    const int64_t at = Sys(SYS_mmap, start, kGuardEnd - start, PROT_NONE, flags, ~uint64_t{0}, 0);
    if (at == static_cast<int64_t>(start)) return;
    // Below vm.mmap_min_addr nobody can map anything: then the higher start is as good.
    if (start == kNullEnd || at != -EPERM) {
      FailSetup(block, SetupStep::kReserve, IsError(at) ? at : -EEXIST);
    }
  }
}

uint64_t Protection(uint32_t access) {
  return ((access & kRead) != 0 ? PROT_READ : 0) | ((access & kWrite) != 0 ? PROT_WRITE : 0) |
         ((access & kExecute) != 0 ? PROT_EXEC : 0);
}

void MapFile(SessionBlock* block, const Region& region, int descriptor, uint64_t offset) {
  Check(block, SetupStep::kMap,
        Sys(SYS_mmap, region.address, region.size, Protection(region.access),
            MAP_PRIVATE | MAP_FIXED, static_cast<uint64_t>(descriptor), offset));
}

void MapAnonymous(SessionBlock* block, const Region& region, const unsigned char* bytes,
                  uint64_t size) {
  const uint64_t final_protection = Protection(region.access);
  const uint64_t protection = size > 0 ? PROT_READ | PROT_WRITE : final_protection;
  Check(block, SetupStep::kMap,
        Sys(SYS_mmap, region.address, region.size, protection,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, ~uint64_t{0}, 0));
  if (size == 0) return;
  // SAFETY: just mapped writable, nothing runs there yet.
  auto* to = PointerTo<unsigned char>(region.address);
  for (uint64_t i = 0; i < size; ++i) to[i] = bytes[i];
  Check(block, SetupStep::kMap, Sys(SYS_mprotect, region.address, region.size, final_protection));
}

// The same in every session, so that clones inherit it.
void MapGate(SessionBlock* block) {
  constexpr unsigned char kHalt = 0xf4;
  const Region gate = {ZVM_GATE_ADDRESS, kPageSize, 0, kRead | kWrite, RegionSource::kGate};
  MapAnonymous(block, gate, nullptr, 0);
  auto* const page = PointerTo<unsigned char>(ZVM_GATE_ADDRESS);
  memset(page, kHalt, kPageSize);
  memcpy(page, gate_page_code, static_cast<size_t>(gate_page_code_end - gate_page_code));
  Check(block, SetupStep::kMap,
        Sys(SYS_mprotect, ZVM_GATE_ADDRESS, kPageSize, PROT_READ | PROT_EXEC));
}

void MapRegions(SessionBlock* block, int image) {
  const uint32_t count = block->region_count + block->run_count;
  for (uint32_t i = 0; i < count; ++i) {
    const Region& region =
        i < block->region_count ? block->regions()[i] : block->runs()[i - block->region_count];
    if (region.address < ZVM_GATE_ADDRESS || region.address % kPageSize != 0 ||
        region.size % kPageSize != 0 || region.size > kGuestEnd - region.address ||
        (region.access & (kWrite | kExecute)) == (kWrite | kExecute)) {
      FailSetup(block, SetupStep::kMap, -EINVAL);
    }
    switch (region.source) {
      case RegionSource::kZero:
      case RegionSource::kJailed:  // a run fills it
        MapAnonymous(block, region, nullptr, 0);
        break;
      case RegionSource::kImage:
        MapFile(block, region, image, region.image_offset);
        break;
      case RegionSource::kSnapshot:
        MapFile(block, region, SnapshotInput(block), region.image_offset);
        break;
      case RegionSource::kChannel:
        if (region.image_offset >= block->channel_count) FailSetup(block, SetupStep::kMap, -EINVAL);
        MapFile(block, region,
                kFirstChannelDescriptor +
                    static_cast<int>(block->channels()[region.image_offset].first_source),
                0);
        break;
      case RegionSource::kManifest:
        MapAnonymous(block, region, block->manifest(), block->manifest_size);
        break;
      case RegionSource::kGate:  // it is there
        if (region.address != ZVM_GATE_ADDRESS || region.size != kPageSize ||
            region.access != (kRead | kExecute)) {
          FailSetup(block, SetupStep::kMap, -EINVAL);
        }
        break;
      default:
        FailSetup(block, SetupStep::kMap, -EINVAL);
    }
  }
}

// The state components that the gate clears are those that the kernel has enabled, but never the
// protection keys (9): their initial state would open every key.
void PrepareGate(SessionBlock* block) {
  unsigned eax, ebx, ecx, edx;
  constexpr unsigned kOsXsave = 1U << 27;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsXsave) == 0) {
    FailSetup(block, SetupStep::kProcessor, -ENOSYS);
  }
  uint32_t enabled_low, enabled_high;
  // SAFETY: OSXSAVE says that xgetbv may be used.
  __asm__ volatile("xgetbv" : "=a"(enabled_low), "=d"(enabled_high) : "c"(0));
  constexpr uint64_t kClearedComponents = 0xe7;  // x87, SSE, AVX, opmask, upper ZMM
  constexpr uint32_t kDefaultMxcsr = 0x1f80;
  constexpr size_t kMxcsrInXsaveArea = 24;
  trusted.gate.At<uint64_t>(GATE_TARGET) = Address(gate_entry);
  trusted.gate.At<uint64_t>(GATE_TRUSTED_RSP) = Address(trusted_stack) + kTrustedStackSize;
  trusted.gate.At<uint32_t>(GATE_MXCSR) = kDefaultMxcsr;
  trusted.gate.At<uint64_t>(GATE_XSTATE_MASK) = enabled_low & kClearedComponents;
  trusted.gate.At<uint32_t>(GATE_XSTATE_AREA + kMxcsrInXsaveArea) = kDefaultMxcsr;
  Check(block, SetupStep::kSegments, Sys(SYS_arch_prctl, kArchSetGs, Address(&trusted.gate)));
}

// The kernel's signal frame holds all vector state, so its size is the processor's.
void CatchFaults(SessionBlock* block, const uint64_t* kernel_block) {
  uint64_t at = kernel_block[0] + 2;  // argc, argv and its null
  while (kernel_block[at] != 0) ++at;
  uint64_t frame_size = 4096;
  for (++at; kernel_block[at] != AT_NULL; at += 2) {
    if (kernel_block[at] == kAtMinSigStackSize) frame_size = kernel_block[at + 1];
  }
  const uint64_t stack_size = (frame_size + kTrustedStackSize) & ~(kPageSize - 1);
  const int64_t stack = Sys(SYS_mmap, 0, stack_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0);
  Check(block, SetupStep::kSignals, stack);
  stack_t alternate = {};
  alternate.ss_sp = PointerTo<void>(static_cast<uint64_t>(stack));
  alternate.ss_size = stack_size;
  trusted.signal_stack_size = stack_size;
  Check(block, SetupStep::kSignals, Sys(SYS_sigaltstack, Address(&alternate), 0));

  KernelSigaction action = {Address(reinterpret_cast<void*>(&HandleFault)),
                            SA_SIGINFO | SA_ONSTACK | kSaRestorer, Address(signal_restorer),
                            ~uint64_t{0}};
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGPROF}) {
    Check(block, SetupStep::kSignals,
          Sys(SYS_rt_sigaction, static_cast<uint64_t>(signal), Address(&action), 0, kSigSetBytes));
  }
  // A pipe without a reader is an errno of the call.
  action = {kSignalIgnored, kSaRestorer, Address(signal_restorer), 0};
  Check(block, SetupStep::kSignals,
        Sys(SYS_rt_sigaction, SIGPIPE, Address(&action), 0, kSigSetBytes));
  const uint64_t nothing_blocked = 0;
  Check(block, SetupStep::kSignals,
        Sys(SYS_rt_sigprocmask, SIG_SETMASK, Address(&nothing_blocked), 0, kSigSetBytes));
}

// Only when asked: the process is dumpable then, and where a tracer must be an ancestor (Yama), any
// of the same user will do. -EINVAL: there is no Yama.
void WaitForDebugger(SessionBlock* block) {
  if (block->waits_for_debugger == 0) return;
  Sys(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  const auto self = static_cast<uint64_t>(Sys(SYS_getpid));
  Check(block, SetupStep::kSignals, Sys(SYS_kill, self, SIGSTOP));
}

// Gives trusted code its stack protector: a canary of the kernel's randomness at %fs:0x28. Only for
// callers that never return and have none themselves.
void NewCanary() {
  constexpr size_t kCanaryWord = 5;
  if (IsError(Sys(SYS_getrandom, Address(&trusted.thread[kCanaryWord]), sizeof(uint64_t), 0))) {
    Exit(1);
  }
}

#ifdef ZEROCLOUD_TEST_WALL_SWITCHES
uint32_t ParseHex(const char* text) {
  uint32_t value = 0;
  for (; *text != 0; ++text) {
    value = value * 16 + static_cast<uint32_t>(*text <= '9' ? *text - '0' : *text - 'a' + 10);
  }
  return value;
}
#endif

}  // namespace

#ifdef ZEROCLOUD_TEST_WALL_SWITCHES
uint32_t layers_off;
#endif

[[noreturn]] void Exit(int status) {
  for (;;) Sys(SYS_exit_group, static_cast<uint64_t>(status));
}

[[noreturn]] void FailSetup(SessionBlock* block, SetupStep step, int64_t result) {
  if (block != nullptr) {
    block->setup_step = step;
    block->setup_errno = static_cast<int32_t>(-result);
  }
  Exit(1);
}

SessionBlock* MapBlock(int descriptor, uint64_t size) {
  const int64_t mapped = Sys(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                             static_cast<uint64_t>(descriptor), 0);
  if (IsError(mapped)) return nullptr;
  auto* block = PointerTo<SessionBlock>(static_cast<uint64_t>(mapped));
  return block->version == kSessionBlockVersion ? block : nullptr;
}

void PrepareProcess(SessionBlock* block, const uint64_t* kernel_block) {
  CheckPersonality(block);
  Reserve(block);
  MapGate(block);
  CatchFaults(block, kernel_block);
  PrepareGate(block);
}

[[noreturn, gnu::no_stack_protector]] void RunSession(SessionBlock* block, int image, bool is_clone,
                                                      uint32_t layers) {
  NewCanary();
  BindToHost(block, is_clone, layers);
  MapRegions(block, image);
  // What stays open are the channels and, if one is wanted, the file of a snapshot.
  const auto first_foreign = static_cast<uint64_t>(SnapshotInput(block));
  if (IsWanted(policy::Layer::kClosedDescriptors)) {
    Check(block, SetupStep::kDescriptors, Sys(SYS_close_range, first_foreign, ~0U, 0));
    Check(block, SetupStep::kDescriptors, Sys(SYS_close_range, 0, kFirstChannelDescriptor - 1, 0));
    layers |= policy::Layer::kClosedDescriptors;
  }
  Calls all = {block,
               block->channels(),
               block->channel_count,
               kFirstChannelDescriptor,
               GuestMemory(0, block->regions(), block->region_count),
               &EndProcess,
               block->wants_snapshot != 0 ? SnapshotOutput(block) : -1,
               &trusted.gate.At<GuestRegisters>(GATE_GUEST_RBX),
               block->regions(),
               block->region_capacity,
               block->trace(),
               block->trace_capacity,
               block->stderr_tail()};
  trusted.calls = &all;
  const uint64_t own_data = static_cast<uint64_t>(_end - __ehdr_start) + trusted.signal_stack_size;
  SetSessionLimits(block, first_foreign, block->data_limit + own_data, layers);
  const uint64_t entry = block->entry;
  block->layers = layers;
  WaitForDebugger(block);
  InstallRunningFilter(block, layers);
  block->phase = Phase::kRunning;
  if (block->resumes != 0) {
    trusted.gate.At<GuestRegisters>(GATE_GUEST_RBX) = block->registers;
    resume_guest();
  }
  enter_guest(entry);
}

extern "C" {

int64_t gate_dispatch(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return Dispatch(*trusted.calls, number, a, b, c, d);
}

// The arguments are ours: the host gives them, never a user.
[[gnu::no_stack_protector]] void launcher_main(const uint64_t* kernel_block) {
  if (IsError(Sys(SYS_arch_prctl, kArchSetFs, Address(trusted.thread)))) Exit(1);
  NewCanary();
  char* const name = PointerTo<char>(kernel_block[1]);
#ifdef ZEROCLOUD_TEST_WALL_SWITCHES
  if (kernel_block[0] > 2) layers_off = ParseHex(PointerTo<const char>(kernel_block[3]));
#endif
  constexpr size_t kDistinctLetter = 5;
  static_assert(kZygoteName[kDistinctLetter] != kSessionName[kDistinctLetter]);
  if (name[kDistinctLetter] == kZygoteName[kDistinctLetter]) {
    const bool makes_own =
        kernel_block[0] > 1 && *PointerTo<const char>(kernel_block[2]) == kOwnNamespaces[0];
    ServeAsZygote(kernel_block, name, makes_own);
  }
  SessionBlock* const block = MapBlock(kBlockDescriptor, SizeOf(kBlockDescriptor));
  if (block == nullptr) FailSetup(nullptr, SetupStep::kBlock, 0);
  uint32_t layers = 0;
  LeaveRoot(block, block->unprivileged_id, layers);
  DropPrivileges(block, layers);
  DenyWithLandlock(layers);
  SetCommonLimits(block);
  PrepareProcess(block, kernel_block);
  RunSession(block, kImageDescriptor, false, layers);
}

// What the compiler and libmd call without being asked.
void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  void* const result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
  return result;
}

void* memset(void* to, int value, size_t size) {
  void* const result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

// NOLINTNEXTLINE(bugprone-reserved-identifier): the compiler's name
[[noreturn]] void __stack_chk_fail() { Exit(2); }

}  // extern "C"

}  // namespace zerocloud::runtime
