// The smallest guest: one instruction, which traps. What runs it has a launcher, a verifier and
// both walls.
#pragma once

#include <cstddef>
#include <vector>

namespace zerocloud::doctor {

std::vector<std::byte> TrapProgram();

}  // namespace zerocloud::doctor
