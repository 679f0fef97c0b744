#include "sandbox/proof/harness.h"

#include <Zydis/Decoder.h>
#include <Zydis/Utils.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace zerocloud::proof {
namespace {

constexpr std::uint64_t kGuestEnd = std::uint64_t{4} << 30;
constexpr std::uint64_t kGuardEnd = std::uint64_t{7} << 30;
// What an accepted access may reach and fault on: rsp is at most 4 GiB + 7, a displacement below 2
// GiB, an access 64 bytes; and the red zone, and a push, below address 0.
constexpr std::uint64_t kReachAbove = (std::uint64_t{6} << 30) + 72;
constexpr std::uint64_t kReachBelow = ~std::uint64_t{0} - 255;
constexpr std::uint64_t kDataAddress = 0x10000000;
constexpr std::size_t kDataSize = std::size_t{64} << 10;
constexpr std::size_t kBaitSize = std::size_t{1} << 20;
constexpr std::size_t kCanarySize = 4096;
// One page more than code may be, of halts: a masked branch may go there too.
constexpr std::size_t kTextSize = kMaxCodeSize + 4096;
constexpr std::size_t kLongest = 15;
constexpr unsigned char kHalt = 0xF4;
constexpr unsigned char kCanaryByte = 0x5A;
constexpr int kSteps = 100;

constexpr std::uint64_t kTrapFlag = 0x100, kDirectionFlag = 0x400;
constexpr std::uint64_t kDebugTrap = 1, kBreakpointTrap = 3, kProtectionTrap = 13, kPageTrap = 14;

// What the signal handler and the assembly share. No C library, no thread-local memory: while the
// guest runs, %fs points at bait.
struct Shared {
  std::uint64_t registers[16];  // in the order of their numbers; loaded at the entry
  std::uint64_t flags;
  std::uint64_t host_stack;
  std::uint64_t entry;
  std::uint64_t fs_base, bait;
  const unsigned char* is_start;  // a byte per byte of text
  std::uint64_t text_size;
  int ticks;
  int steps_left;
  // What ended the run.
  int signal;
  std::uint64_t trap, error, address, pc;
  bool is_astray;       // stepped where no instruction starts
  bool has_moved_base;  // fs or gs
  gregset_t guest;
};

}  // namespace

extern "C" {
Shared proof_shared;  // NOLINT: assembly needs a name and an address
void proof_enter();
extern const unsigned char proof_resume[];
}

// The offsets are those of Shared: asserted below.
__asm__(R"(
  .text
  .globl proof_enter, proof_resume
proof_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  lea proof_shared(%rip), %rax
  mov %rsp, 136(%rax)
  mov 8(%rax), %rcx
  mov 16(%rax), %rdx
  mov 24(%rax), %rbx
  mov 40(%rax), %rbp
  mov 48(%rax), %rsi
  mov 56(%rax), %rdi
  mov 64(%rax), %r8
  mov 72(%rax), %r9
  mov 80(%rax), %r10
  mov 88(%rax), %r11
  mov 96(%rax), %r12
  mov 104(%rax), %r13
  mov 112(%rax), %r14
  mov 120(%rax), %r15
  pushq 128(%rax)
  popfq
  mov 32(%rax), %rsp
  mov 0(%rax), %rax
  jmp *144+proof_shared(%rip)
proof_resume:
  cld
  fninit
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
)");
static_assert(offsetof(Shared, flags) == 128 && offsetof(Shared, host_stack) == 136 &&
              offsetof(Shared, entry) == 144);

namespace {

Shared& shared = proof_shared;

// Without errno, which is thread-local.
[[gnu::no_stack_protector]] std::int64_t RawSyscall(std::uint64_t number, std::uint64_t a,
                                                    std::uint64_t b) {
  std::int64_t result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
  return result;
}

[[gnu::no_stack_protector]] void Handle(int signal, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto pc = static_cast<std::uint64_t>(registers[REG_RIP]);
  const auto trap = static_cast<std::uint64_t>(registers[REG_TRAPNO]);
  const bool is_guest = pc < kGuestEnd;
  if (signal == SIGALRM) {
    if (!is_guest) return;
    ++shared.ticks;
    if (shared.ticks < 2) return;
  }
  if (signal == SIGTRAP && trap == kDebugTrap) {
    if (!is_guest) return;  // still on the way in
    const std::uint64_t at = pc - kTextAddress;
    shared.is_astray = at < shared.text_size && shared.is_start[at] == 0;
    if (!shared.is_astray && --shared.steps_left > 0) return;
    if (!shared.is_astray) {
      registers[REG_EFL] &= ~static_cast<greg_t>(kTrapFlag);
      return;
    }
  }
  std::uint64_t fs_base = 0, gs_base = 0;
  RawSyscall(SYS_arch_prctl, ARCH_GET_FS, reinterpret_cast<std::uint64_t>(&fs_base));
  RawSyscall(SYS_arch_prctl, ARCH_GET_GS, reinterpret_cast<std::uint64_t>(&gs_base));
  RawSyscall(SYS_arch_prctl, ARCH_SET_FS, shared.fs_base);
  shared.has_moved_base = fs_base != shared.bait || gs_base != shared.bait;
  shared.signal = signal;
  shared.trap = trap;
  shared.error = static_cast<std::uint64_t>(registers[REG_ERR]);
  shared.address = reinterpret_cast<std::uint64_t>(info->si_addr);
  shared.pc = pc;
  for (int k = 0; k < NGREG; ++k) shared.guest[k] = registers[k];
  registers[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uint64_t>(proof_resume));
  registers[REG_RSP] = static_cast<greg_t>(shared.host_stack);
  registers[REG_EFL] &= ~static_cast<greg_t>(kTrapFlag | kDirectionFlag);
}

void Require(bool is_fine, const char* what) {
  if (is_fine) return;
  std::perror(what);
  std::exit(2);
}

void* Map(std::uint64_t at, std::size_t size, int rights, int flags, int file = -1) {
  // SAFETY: a number becomes an address that the kernel checks.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): fixed places are the point
  void* const result = ::mmap(reinterpret_cast<void*>(at), size, rights, flags, file, 0);
  Require(result != MAP_FAILED, "proof: cannot map memory");
  return result;
}

void CatchSignals() {
  constexpr std::size_t kStackSize = std::size_t{256} << 10;
  stack_t stack{};
  stack.ss_sp = Map(0, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  stack.ss_size = kStackSize;
  Require(::sigaltstack(&stack, nullptr) == 0, "proof: sigaltstack");
  struct sigaction action{};
  action.sa_sigaction = Handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGALRM}) {
    Require(::sigaction(signal, &action, nullptr) == 0, "proof: sigaction");
  }
  const itimerval every = {{0, 500}, {0, 500}};
  Require(::setitimer(ITIMER_REAL, &every, nullptr) == 0, "proof: setitimer");
}

// A system call is trapped if the instruction that makes it lies below 4 GiB.
void InstallFilter() {
  constexpr auto kHighHalf =
      static_cast<std::uint32_t>(offsetof(seccomp_data, instruction_pointer) + 4);
  std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kHighHalf),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {filter.size(), filter.data()};
  Require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "proof: no_new_privs");
  Require(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "proof: seccomp");
}

bool IsInReach(std::uint64_t address) { return address < kReachAbove || address >= kReachBelow; }

std::string Hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%#llx", static_cast<unsigned long long>(value));
  return text.data();
}

// The registers of the guest, for Zydis to compute an address with.
ZydisRegisterContext RegistersOf(const gregset_t& guest, std::uint64_t pc) {
  constexpr std::array<int, 16> kOrder = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                          REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15};
  ZydisRegisterContext context{};
  for (unsigned k = 0; k < kOrder.size(); ++k) {
    const auto value = static_cast<std::uint64_t>(guest[kOrder[k]]);
    context.values[ZYDIS_REGISTER_RAX + k] = value;
    context.values[ZYDIS_REGISTER_EAX + k] = value & 0xFFFFFFFF;
  }
  context.values[ZYDIS_REGISTER_RIP] = pc;
  return context;
}

// A protection fault does not say where: what could the instruction have done?
std::string JudgeProtectionFault(const unsigned char* bytes, std::uint64_t pc) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  if (!ZYAN_SUCCESS(
          ZydisDecoderDecodeFull(&decoder, bytes, kLongest, &instruction, operands.data()))) {
    return "a protection fault of no instruction";
  }
  if (instruction.mnemonic == ZYDIS_MNEMONIC_HLT) return "";
  if (instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) return "a branch out of all memory";
  const ZydisRegisterContext registers = RegistersOf(shared.guest, pc);
  bool has_memory = false;
  for (std::size_t k = 0; k < instruction.operand_count; ++k) {
    const ZydisDecodedOperand& operand = operands[k];
    if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN) {
      continue;
    }
    has_memory = true;
    ZyanU64 address = 0;
    if (!ZYAN_SUCCESS(
            ZydisCalcAbsoluteAddressEx(&instruction, &operand, pc, &registers, &address))) {
      return "a protection fault at an address that nobody can tell";
    }
    if (!IsInReach(address)) return "a protection fault at " + Hex(address);
  }
  return has_memory ? "" : "an instruction that may not be used there";
}

// Empty if accepted code may end this way.
std::string JudgeEnding(const unsigned char* text) {
  if (shared.is_astray) return "ran at " + Hex(shared.pc) + ", where no instruction starts";
  if (shared.has_moved_base) return "changed a segment base";
  if (shared.signal == SIGALRM) return "";
  if (shared.signal == SIGSYS) return "made a system call";
  if (shared.pc >= kGuestEnd) return "ran at " + Hex(shared.pc);
  const bool is_in_text = shared.pc - kTextAddress < kTextSize - kLongest;
  if (shared.signal == SIGSEGV && shared.trap == kPageTrap) {
    constexpr std::uint64_t kFetch = 16;
    if (shared.pc == shared.address && (shared.error & kFetch) != 0) return "";
    return IsInReach(shared.address) ? "" : "reached for " + Hex(shared.address);
  }
  if (!is_in_text) return "ran at " + Hex(shared.pc);
  const unsigned char* const bytes = text + (shared.pc - kTextAddress);
  if (shared.signal == SIGSEGV && shared.trap == kProtectionTrap) {
    return JudgeProtectionFault(bytes, shared.pc);
  }
  if (shared.signal == SIGILL) {
    return bytes[0] == 0x0F && bytes[1] == 0x0B ? ""
                                                : "an instruction that the processor does not know";
  }
  if (shared.signal == SIGFPE || (shared.signal == SIGTRAP && shared.trap == kBreakpointTrap)) {
    return "";
  }
  return "signal " + std::to_string(shared.signal) + ", trap " + std::to_string(shared.trap);
}

}  // namespace

Harness::Harness() {
  Map(1 << 16, kGuardEnd - (1 << 16), PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE);
  const int file = ::memfd_create("proof text", MFD_CLOEXEC);
  Require(file >= 0 && ::ftruncate(file, kTextSize) == 0, "proof: cannot make the text");
  text_ = static_cast<unsigned char*>(Map(0, kTextSize, PROT_READ | PROT_WRITE, MAP_SHARED, file));
  std::memset(text_, kHalt, kTextSize);
  Map(kTextAddress, kTextSize, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file);
  ::close(file);
  Map(kDataAddress, kDataSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  bait_ = reinterpret_cast<std::uint64_t>(
      Map(0, kBaitSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  canary_ = static_cast<unsigned char*>(
      Map(0, kCanarySize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  std::memset(canary_, kCanaryByte, kCanarySize);
  Require(RawSyscall(SYS_arch_prctl, ARCH_GET_FS,
                     reinterpret_cast<std::uint64_t>(&shared.fs_base)) == 0,
          "proof: fs");
  shared.bait = bait_ + kBaitSize / 2;
  Require(RawSyscall(SYS_arch_prctl, ARCH_SET_GS, shared.bait) == 0, "proof: gs");
  CatchSignals();
  InstallFilter();
}

std::uint64_t Harness::PickWord(std::mt19937_64& random) const {
  const std::uint64_t value = random();
  const std::uint64_t low = value >> 8 & 0xFFF8;
  switch (value % 8) {
    case 0:
    case 1:
      return bait_ + kBaitSize / 2 + low;
    case 2:
      return reinterpret_cast<std::uint64_t>(canary_) + low % kCanarySize;
    case 3:
    case 4:
      return kDataAddress + low % kDataSize;
    case 5:
      return kTextAddress + low % 1024;
    case 6:
      return value >> 56;
    default:
      return value;
  }
}

void Harness::FillData(std::mt19937_64& random) {
  // SAFETY: mapped writable above. NOLINTNEXTLINE(performance-no-int-to-ptr)
  auto* const words = reinterpret_cast<std::uint64_t*>(kDataAddress);
  for (std::size_t k = 0; k < kDataSize / 8; ++k) words[k] = PickWord(random);
}

std::string Harness::FindChange(std::span<const unsigned char> code) const {
  const auto is_canary = [](unsigned char byte) { return byte == kCanaryByte; };
  if (!std::all_of(canary_, canary_ + kCanarySize, is_canary)) return "changed the canary";
  if (std::memcmp(text_, code.data(), code.size()) != 0) return "changed its text";
  return "";
}

Outcome Harness::Run(std::span<const unsigned char> code, const std::vector<bool>& is_start,
                     bool is_stepped, std::mt19937_64& random) {
  Require(code.size() <= kMaxCodeSize && is_start.size() == code.size(), "proof: too much code");
  if (runs_++ % 512 == 0) FillData(random);
  std::memcpy(text_, code.data(), code.size());
  if (code.size() < code_size_) std::memset(text_ + code.size(), kHalt, code_size_ - code.size());
  code_size_ = code.size();
  static std::array<unsigned char, kMaxCodeSize> starts;
  std::copy(is_start.begin(), is_start.end(), starts.begin());

  for (std::uint64_t& value : shared.registers) value = PickWord(random);
  constexpr unsigned kStackRegister = 4;
  shared.registers[kStackRegister] = kDataAddress + kDataSize / 2 + (random() & 0xFF8);
  constexpr std::uint64_t kPlainFlags = 0x202;
  shared.flags = kPlainFlags | (is_stepped ? kTrapFlag : 0);
  shared.entry = kTextAddress;
  shared.is_start = starts.data();
  shared.text_size = code.size();
  shared.ticks = 0;
  shared.steps_left = kSteps;
  shared.signal = 0;
  shared.is_astray = false;
  RawSyscall(SYS_arch_prctl, ARCH_SET_FS, shared.bait);
  proof_enter();
  constexpr std::uint32_t kDefaultMxcsr = 0x1F80;
  __builtin_ia32_ldmxcsr(kDefaultMxcsr);

  std::string escape = JudgeEnding(text_);
  if (escape.empty()) escape = FindChange(code);
  if (!escape.empty()) return {Ending::kEscape, escape};
  if (shared.signal == SIGALRM) return {Ending::kTimeout, ""};
  return {shared.signal == SIGTRAP ? Ending::kTrap : Ending::kFault, ""};
}

}  // namespace zerocloud::proof
