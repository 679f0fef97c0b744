// Memory operands whose address lies in the low 4 GiB whatever the registers hold.
#pragma once

#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "sandbox/toolchain/operand.h"

namespace zerocloud::toolchain {

// `operand` as a guest may use it to reach memory. Thread-local variables are plain ones (one
// thread, and the thread pointer is 0), so "%fs:x@tpoff" is x. The error is only the reason,
// without a place.
Result<std::string> ConfineMemory(const Operand& operand);

// "x@tpoff+8" -> "x+8", in any operand or data directive.
std::string DropThreadLocalSuffixes(std::string_view text);

}  // namespace zerocloud::toolchain
