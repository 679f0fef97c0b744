#include "sandbox/proof/proof.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>

#include "sandbox/proof/corpus.h"
#include "sandbox/proof/llvm_oracle.h"
#include "sandbox/proof/zydis_oracle.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::proof {
namespace {

constexpr unsigned kMutantsPerSnippet = 200;

class Proof {
 public:
  Proof(const ProofOptions& options, Progress& progress)
      : options_(options), progress_(progress), corpus_(options.programs), random_(options.seed) {}

  void Run() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options_.seconds);
    while (!progress_.is_caught && !progress_.is_to_stop &&
           progress_.changed < options_.instructions && std::chrono::steady_clock::now() < end) {
      const Bytes snippet = corpus_.PickSnippet(random_);
      const std::vector<bool> starts = FindStarts(snippet);
      // A snippet that is not accepted as it stands would only waste mutants.
      if (!IsAccepted(snippet)) continue;
      for (unsigned k = 0; k < kMutantsPerSnippet && !progress_.is_caught; ++k)
        TryMutant(snippet, starts);
    }
  }

 private:
  bool IsAccepted(const Bytes& code) {
    verifier::Violation first;
    constexpr unsigned kLevel = 3;
    return verifier::IsAcceptable({code.data(), code.size(), kTextAddress, kLevel}, scratch_,
                                  first);
  }

  void TryMutant(const Bytes& snippet, const std::vector<bool>& snippet_starts) {
    code_ = snippet;
    Mutate(code_, random_, touched_);
    const std::vector<bool> starts = FindStarts(code_);
    const auto count = static_cast<std::uint64_t>(std::ranges::count(starts, true));
    ++progress_.programs;
    progress_.instructions += count;
    const std::uint64_t changed = CountNew(snippet, snippet_starts, code_, starts);
    progress_.changed += changed;
    if (!IsAccepted(code_)) return;
    ++progress_.accepted;
    progress_.accepted_instructions += count;
    progress_.accepted_changed += changed;
    progress_.code_size = code_.size();
    std::memcpy(progress_.code, code_.data(), code_.size());
    if (options_.asks_oracles) {
      const std::string unsafe = AskOracles(starts);
      if (!unsafe.empty()) return Catch("oracle: " + unsafe);
    }
    constexpr unsigned kStepEvery = 16;
    const bool is_stepped = progress_.executed % kStepEvery == 0;
    progress_.is_running = true;
    const Outcome outcome = harness_.Run(code_, starts, is_stepped, random_);
    progress_.is_running = false;
    ++progress_.executed;
    progress_.stepped += is_stepped ? 1 : 0;
    progress_.faults += outcome.ending == Ending::kFault ? 1 : 0;
    progress_.traps += outcome.ending == Ending::kTrap ? 1 : 0;
    progress_.timeouts += outcome.ending == Ending::kTimeout ? 1 : 0;
    if (outcome.ending == Ending::kEscape) Catch("escape: " + outcome.escape);
  }

  // The bundles that were changed, by LLVM; all of it, by Zydis.
  std::string AskOracles(const std::vector<bool>& starts) {
    for (const std::size_t bundle : touched_) {
      const std::size_t begin = bundle * verifier::kBundleSize;
      const std::size_t end = begin + verifier::kBundleSize;
      for (std::size_t at = begin; at < end;) {
        std::size_t next = at + 1;
        while (next < end && !starts[next]) ++next;
        std::string unsafe = llvm_.FindUnsafe(code_.data() + at, next - at, kTextAddress + at);
        if (!unsafe.empty()) return "LLVM at " + std::to_string(at) + ": " + unsafe;
        at = next;
      }
    }
    return FindUnsafe(std::as_bytes(std::span(code_)), kTextAddress);
  }

  void Catch(const std::string& finding) {
    progress_.is_caught = true;
    std::snprintf(progress_.finding, sizeof progress_.finding, "%s", finding.c_str());
  }

  const ProofOptions& options_;
  Progress& progress_;
  Corpus corpus_;
  std::mt19937_64 random_;
  LlvmOracle llvm_;
  Harness harness_;
  Bytes code_;
  std::vector<std::size_t> touched_;
  std::uint32_t scratch_[verifier::ScratchWords(kMaxCodeSize)]{};
};

}  // namespace

void RunProof(const ProofOptions& options, Progress& progress) { Proof(options, progress).Run(); }

}  // namespace zerocloud::proof
