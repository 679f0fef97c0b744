// verifier_bench [--benchmark_...] GUEST...: how fast the text of each guest program is verified by
// one thread, and the text of all of them, over and over up to 16 MiB, by 1 to all processors; in
// bytes a second.
#include <benchmark/benchmark.h>
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/verifier/verifier.h"

namespace {

struct Text {
  std::uint64_t address = 0;
  std::vector<std::byte> code;  // whole pages, as the loader makes them
};

// The executable segment of a program that zvm-cc linked. Not the loader: that stands above us.
Text ReadText(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  Text text;
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return text;
  std::memcpy(&header, file.data(), sizeof header);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const std::size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment{};
    if (at + sizeof segment > file.size()) return {};
    std::memcpy(&segment, file.data() + at, sizeof segment);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    if (segment.p_offset + segment.p_filesz > file.size()) return {};
    constexpr std::size_t kPage = 4096;
    text.address = segment.p_vaddr;
    text.code.assign((segment.p_filesz + kPage - 1) / kPage * kPage, std::byte{0xcc});
    std::memcpy(text.code.data(), file.data() + segment.p_offset, segment.p_filesz);
  }
  return text;
}

void Verify(benchmark::State& state, const Text& text, unsigned threads) {
  const zerocloud::verifier::Options options{.isa_level = 3, .threads = threads};
  for (auto _ : state) {
    const auto verdict = zerocloud::verifier::Verify(text.code, text.address, options);
    if (!verdict.is_accepted()) {
      state.SkipWithError("the verifier rejects this program");
      return;
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.code.size()));
  state.counters["text_bytes"] = static_cast<double>(text.code.size());
}

// A program as large as they come. Branches are relative: they stay in their copy.
void Repeat(Text& text) {
  constexpr std::size_t kLarge = std::size_t{16} << 20;
  const std::size_t size = text.code.size();
  text.code.reserve(kLarge + size);
  while (text.code.size() < kLarge)
    text.code.insert(text.code.end(), text.code.begin(),
                     text.code.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Text all;
  for (const std::string path : std::span(argv, static_cast<std::size_t>(argc)).subspan(1)) {
    const Text text = ReadText(path);
    if (text.code.empty()) {
      std::fprintf(stderr, "verifier_bench: %s has no text\n", path.c_str());
      return 1;
    }
    const std::string name = path.substr(path.rfind('/') + 1);
    // Twice: what differs between the two is noise.
    benchmark::RegisterBenchmark(("verify/" + name).c_str(), Verify, text, 1U);
    benchmark::RegisterBenchmark(("again/" + name).c_str(), Verify, text, 1U);
    if (all.code.empty()) all.address = text.address;
    all.code.insert(all.code.end(), text.code.begin(), text.code.end());
  }
  if (!all.code.empty()) Repeat(all);
  const unsigned most = all.code.empty() ? 0 : std::thread::hardware_concurrency();
  for (unsigned threads = 1; threads <= most; threads *= 2) {
    const std::string name = "threads/" + std::to_string(threads);
    benchmark::RegisterBenchmark(name.c_str(), Verify, all, threads)->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
