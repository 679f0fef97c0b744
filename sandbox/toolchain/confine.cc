#include "sandbox/toolchain/confine.h"

#include <array>
#include <cctype>
#include <limits>

namespace zerocloud::toolchain {
namespace {

constexpr std::int64_t kFourGigabytes = std::int64_t{1} << 32;

// The red zone of the ABI. What lies further below is reached through esp, so that no displacement
// can point from a small rsp to the upper half of the address space.
constexpr std::int64_t kLowestStackDisplacement = -128;

std::unexpected<Error> No(std::string why) { return Fail(ErrorCode::kInvalid, std::move(why)); }

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != lower[i]) return false;
  }
  return true;
}

Result<std::string> ConfineAbsolute(const std::string& displacement) {
  const auto address = ConstantValue(displacement);
  if (!address) return displacement + "(%rip)";
  if (*address < 0 || *address >= kFourGigabytes) {
    return No("the address is outside the guest's 4 GiB");
  }
  // The prefix for 32-bit addresses makes the displacement an unsigned number.
  const auto low = static_cast<std::int32_t>(static_cast<std::uint32_t>(*address));
  return std::to_string(low) + "(,%eiz,1)";
}

bool IsStackAccess(const Operand& operand, const std::string& displacement) {
  if (operand.base != "rsp" || !operand.index.empty()) return false;
  if (displacement.empty()) return true;
  const auto value = ConstantValue(displacement);
  return value && *value >= kLowestStackDisplacement &&
         *value <= std::numeric_limits<std::int32_t>::max();
}

}  // namespace

std::string DropThreadLocalSuffixes(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kSuffixes = {"@tpoff", "@dtpoff", "@ntpoff"};
  std::string out;
  while (!text.empty()) {
    const std::size_t at = text.find('@');
    out += text.substr(0, at);
    if (at == std::string_view::npos) break;
    text.remove_prefix(at);
    std::size_t skip = 0;
    for (const std::string_view suffix : kSuffixes) {
      if (EqualsIgnoringCase(text.substr(0, suffix.size()), suffix)) skip = suffix.size();
    }
    if (skip == 0) {
      out += '@';
      skip = 1;
    }
    text.remove_prefix(skip);
  }
  return out;
}

Result<std::string> ConfineMemory(const Operand& operand) {
  if (!operand.segment.empty() && operand.segment != "fs") {
    return No("a guest has no segment %" + std::string(operand.segment));
  }
  const std::string displacement = DropThreadLocalSuffixes(operand.displacement);
  if (!operand.segment.empty() && operand.base.empty() && ConstantValue(displacement)) {
    return No(
        "the thread control block is not at %fs; use the C library or "
        "-mstack-protector-guard=global");
  }
  if (operand.base.empty() && operand.index.empty()) {
    if (displacement.empty()) return No("the operand is empty");
    return ConfineAbsolute(displacement);
  }
  if (operand.base == "rip") return displacement + "(%rip)";
  if (operand.index.find("mm") != std::string_view::npos) {
    return No("gathers and scatters cannot be confined");
  }
  if (IsStackAccess(operand, displacement)) return displacement + "(%rsp)";

  std::string out = displacement + "(";
  for (const std::string_view reg : {operand.base, operand.index}) {
    if (reg.empty()) continue;
    const std::string low = Low32(reg);
    if (low.empty()) return No("%" + std::string(reg) + " cannot address memory here");
    if (reg.data() == operand.index.data()) out += ",";
    out += "%" + low;
  }
  if (!operand.index.empty() && !operand.scale.empty()) out += "," + std::string(operand.scale);
  return out + ")";
}

}  // namespace zerocloud::toolchain
