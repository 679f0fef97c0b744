#include "sandbox/toolchain/mnemonics.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sandbox/toolchain/contains.h"

namespace zerocloud::toolchain {
namespace {

constexpr std::string_view kNoHost = "a guest asks its host through the gate only (zvm.h)";
constexpr std::string_view kNoCpuQuestions =
    "a guest must not see which processor it runs on; switch run-time CPU detection off";
constexpr std::string_view kNoClock = "a guest has no clock or randomness of the processor";
constexpr std::string_view kNotExact =
    "its result differs between processors; use the C library's function (no -ffast-math)";
constexpr std::string_view kNoState = "it moves processor state that a guest must not see";
constexpr std::string_view kNoFlags = "it can change system flags";
constexpr std::string_view kFullAddress = "it uses a 64-bit address that cannot be confined";
constexpr std::string_view kPlainBranch = "write it as dec or test and a conditional jump";
constexpr std::string_view kNoTransaction = "guests have no transactional memory";
constexpr std::string_view kNoPorts = "guests have no ports";

constexpr std::array kForbidden = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"syscall", kNoHost},
    {"sysenter", kNoHost},
    {"int", kNoHost},
    {"iret", kNoHost},
    {"iretq", kNoHost},
    {"lcall", kNoHost},
    {"ljmp", kNoHost},
    {"lret", kNoHost},
    {"cpuid", kNoCpuQuestions},
    {"xgetbv", kNoCpuQuestions},
    {"rdpid", kNoCpuQuestions},
    {"sgdt", kNoCpuQuestions},
    {"sidt", kNoCpuQuestions},
    {"sldt", kNoCpuQuestions},
    {"str", kNoCpuQuestions},
    {"smsw", kNoCpuQuestions},
    {"lsl", kNoCpuQuestions},
    {"lar", kNoCpuQuestions},
    {"rdtsc", kNoClock},
    {"rdtscp", kNoClock},
    {"rdpmc", kNoClock},
    {"rdrand", kNoClock},
    {"rdseed", kNoClock},
    {"rcpps", kNotExact},
    {"rcpss", kNotExact},
    {"rsqrtps", kNotExact},
    {"rsqrtss", kNotExact},
    {"vrcpps", kNotExact},
    {"vrcpss", kNotExact},
    {"vrsqrtps", kNotExact},
    {"vrsqrtss", kNotExact},
    {"fsin", kNotExact},
    {"fcos", kNotExact},
    {"fsincos", kNotExact},
    {"fptan", kNotExact},
    {"fpatan", kNotExact},
    {"f2xm1", kNotExact},
    {"fyl2x", kNotExact},
    {"fyl2xp1", kNotExact},
    {"fnstenv", kNoState},
    {"fstenv", kNoState},
    {"fldenv", kNoState},
    {"fnsave", kNoState},
    {"fsave", kNoState},
    {"frstor", kNoState},
    {"fxsave", kNoState},
    {"fxsave64", kNoState},
    {"fxrstor", kNoState},
    {"fxrstor64", kNoState},
    {"xsave", kNoState},
    {"xsave64", kNoState},
    {"xsavec", kNoState},
    {"xsaveopt", kNoState},
    {"xrstor", kNoState},
    {"xrstor64", kNoState},
    {"rdfsbase", kNoState},
    {"rdgsbase", kNoState},
    {"wrfsbase", kNoState},
    {"wrgsbase", kNoState},
    {"pushf", kNoFlags},
    {"pushfq", kNoFlags},
    {"popf", kNoFlags},
    {"popfq", kNoFlags},
    {"maskmovq", kFullAddress},
    {"maskmovdqu", kFullAddress},
    {"vmaskmovdqu", kFullAddress},
    {"xlat", kFullAddress},
    {"xlatb", kFullAddress},
    {"clflush", kNoCpuQuestions},
    {"clflushopt", kNoCpuQuestions},
    {"clwb", kNoCpuQuestions},
    {"clzero", kFullAddress},
    {"loop", kPlainBranch},
    {"loope", kPlainBranch},
    {"loopne", kPlainBranch},
    {"jrcxz", kPlainBranch},
    {"jecxz", kPlainBranch},
    {"enter", kPlainBranch},
    {"xbegin", kNoTransaction},
    {"xend", kNoTransaction},
    {"xabort", kNoTransaction},
    {"xtest", kNoTransaction},
    {"in", kNoPorts},
    {"out", kNoPorts},
    {"insb", kNoPorts},
    {"insl", kNoPorts},
    {"outsb", kNoPorts},
    {"outsl", kNoPorts},
});

constexpr std::array<std::string_view, 27> kLevel3 = {
    "andn",   "andnl", "andnq", "bextr", "bextrl", "bextrq", "blsi",  "blsil", "blsiq",
    "blsmsk", "blsr",  "blsrl", "blsrq", "bzhi",   "bzhil",  "bzhiq", "mulx",  "mulxl",
    "mulxq",  "pdep",  "pext",  "rorx",  "sarx",   "shlx",   "shrx",  "movbe", "lzcnt"};

constexpr std::array<std::string_view, 12> kLevel3Stems = {"blsmsk", "pdep",  "pext", "rorx",
                                                           "sarx",   "shlx",  "shrx", "movbe",
                                                           "lzcnt",  "tzcnt", "bzhi", "bextr"};

constexpr std::array<std::string_view, 21> kStringOperations = {
    "movsb", "movsw", "movsl", "movsd", "movsq", "stosb", "stosw",
    "stosl", "stosd", "stosq", "lodsb", "lodsw", "lodsl", "lodsq",
    "scasb", "scasw", "scasl", "scasq", "cmpsb", "cmpsl", "cmpsq"};

}  // namespace

std::string_view WhyForbidden(std::string_view mnemonic) {
  if (mnemonic.starts_with("vgather") || mnemonic.starts_with("vpgather")) {
    return "gathers are not confined; compile with -mtune-ctrl=^use_gather or without intrinsics";
  }
  const auto found = std::ranges::find(kForbidden, mnemonic, [](const auto& e) { return e.first; });
  return found == kForbidden.end() ? std::string_view{} : found->second;
}

bool NeedsLevel3(std::string_view mnemonic) {
  if (mnemonic.starts_with('v') && mnemonic != "verr" && mnemonic != "verw") return true;
  return Contains(kLevel3, mnemonic) ||
         std::ranges::any_of(kLevel3Stems, [&](std::string_view stem) {
           return mnemonic.starts_with(stem) && mnemonic.size() <= stem.size() + 1;
         });
}

bool IsStringOperation(std::string_view mnemonic) { return Contains(kStringOperations, mnemonic); }

}  // namespace zerocloud::toolchain
