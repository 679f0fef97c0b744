#include "sandbox/verifier/verifier.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <thread>

namespace zerocloud::verifier {
namespace {

// Code below this is verified sooner than threads are started.
constexpr std::size_t kBundlesPerThread = (std::size_t{256} << 10) / kBundleSize;

// The first violations of one pass over some of the bundles.
struct Part {
  std::size_t first = 0, end = 0;  // bundles
  std::size_t limit = 0;
  std::vector<Violation> found{};

  [[nodiscard]] Sink sink() {
    return {[](void* context, Violation violation) {
              Part& part = *static_cast<Part*>(context);
              if (part.found.size() < part.limit) part.found.push_back(violation);
              return true;  // the branches need to know all starts, whatever else was found
            },
            this};
  }
};

// Runs `pass` over each part, all but the first on threads of their own.
template <typename Pass>
void RunAll(std::vector<Part>& parts, const Pass& pass) {
  std::vector<std::jthread> threads;
  threads.reserve(parts.size() - 1);
  for (Part& part : std::span(parts).subspan(1)) threads.emplace_back([&] { pass(part); });
  pass(parts.front());
}

std::vector<Part> Divide(std::size_t bundles, std::size_t limit, unsigned threads) {
  const std::size_t count =
      std::clamp<std::size_t>(bundles / kBundlesPerThread, 1, std::max(threads, 1U));
  std::vector<Part> parts;
  parts.reserve(count);
  for (std::size_t k = 0; k < count; ++k) {
    parts.push_back(
        {.first = bundles * k / count, .end = bundles * (k + 1) / count, .limit = limit});
  }
  return parts;
}

}  // namespace

Verdict Verify(std::span<const std::byte> code, std::uint64_t base, const Options& options) {
  const Code whole = {reinterpret_cast<const unsigned char*>(code.data()), code.size(), base,
                      options.isa_level};
  // A verdict without room for one violation would accept everything.
  const std::size_t limit = std::max<std::size_t>(options.max_violations, 1);
  const std::size_t bundles = code.size() / kBundleSize;

  Verdict verdict;
  std::vector<Violation>& all = verdict.violations;
  Part region = {.limit = limit};
  const bool goes_on = CheckRegion(whole, region.sink());
  all = std::move(region.found);
  if (!goes_on) return verdict;

  // Not initialised: the first pass writes all of it.
  const auto scratch = std::make_unique_for_overwrite<std::uint32_t[]>(ScratchWords(code.size()));
  std::vector<Part> parts = Divide(bundles, limit, options.threads);
  RunAll(parts, [&](Part& part) {
    CheckBundles(whole, part.first, part.end, scratch.get(), part.sink());
  });
  for (const Part& part : parts) std::ranges::copy(part.found, std::back_inserter(all));
  for (Part& part : parts) part.found.clear();
  RunAll(parts, [&](Part& part) {
    CheckBranches(whole, part.first, part.end, scratch.get(), part.sink());
  });
  for (const Part& part : parts) std::ranges::copy(part.found, std::back_inserter(all));

  std::ranges::sort(all, [](const Violation& a, const Violation& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.rule < b.rule;
  });
  if (all.size() > limit) all.resize(limit);
  return verdict;
}

}  // namespace zerocloud::verifier
