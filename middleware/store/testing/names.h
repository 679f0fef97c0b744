// Random object names of the nasty kind: slashes, dots, controls, percent signs, long parts, many
// scripts. Always valid UTF-8 without NUL, 1 to 1024 bytes.
#pragma once

#include <random>
#include <string>

namespace zerocloud::store {

[[nodiscard]] std::string RandomObjectName(std::mt19937_64& random);

}  // namespace zerocloud::store
