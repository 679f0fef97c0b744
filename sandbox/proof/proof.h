// Mutated programs against the verifier: what it accepts, two other decoders must find safe, and
// the harness must not see get out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/proof/harness.h"

namespace zerocloud::proof {

struct ProofOptions {
  std::uint64_t seed = 1;
  unsigned seconds = 60;
  std::uint64_t instructions = ~std::uint64_t{0};  // stop when so many changed ones were tried
  bool asks_oracles = true;
  std::vector<std::string> programs;
};

// Shared by a worker and who started it: what is here when the worker dies is what it died of.
struct Progress {
  std::uint64_t programs;               // mutated ones
  std::uint64_t instructions;           // in them
  std::uint64_t changed;                // of these: other than in the program before
  std::uint64_t accepted;               // of the programs
  std::uint64_t accepted_instructions;  // in those
  std::uint64_t accepted_changed;       // of these
  std::uint64_t executed;               // runs
  std::uint64_t stepped, faults, traps, timeouts;
  volatile bool is_to_stop;  // set by who started it: end early, with what there is
  bool is_caught;
  bool is_running;  // in the harness
  char finding[400];
  std::size_t code_size;
  unsigned char code[kMaxCodeSize];
};

// Goes on until an escape is found, the time or the instructions are used up, or it is to stop.
// Call it in a process of its own: it takes the low 4 GiB and the signals, and what escapes may end
// it.
void RunProof(const ProofOptions& options, Progress& progress);

}  // namespace zerocloud::proof
