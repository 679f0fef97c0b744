// zvm-enumerate: tries every instruction encoding there is, up to the immediate, in all opcode
// maps. Whatever the verifier accepts, LLVM and Zydis must know, with the same length, and find
// safe. Whether it is accepted must not depend on the screen (screen.h). No EVEX, XOP, 3DNow!, REX2
// or irregular prefix may be accepted at all.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "sandbox/proof/llvm_oracle.h"
#include "sandbox/proof/zydis_oracle.h"
#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/opcodes.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::verifier {
std::uint32_t weakened_rules = 0;
}

namespace zerocloud::proof {
namespace {

using verifier::kBundleSize;
using Bytes = std::vector<unsigned char>;

constexpr std::uint64_t kAddress = 0x400000;
constexpr std::uint32_t kNoScreen = 1u << 31;
constexpr std::size_t kBatch = 64;

struct Options {
  bool has_all_registers = false;  // all of REX, VEX.vvvv and VEX.RXB
  bool has_all_sibs = false;
  std::string part;  // only these; all if empty
  std::uint64_t stride = 1, first = 0;
};

// A bundle that is filled with NOPs from `begin` on: few of them, as each has to be verified.
using Bundle = std::array<unsigned char, kBundleSize>;
Bundle FilledFrom(std::size_t begin) {
  static const Bytes longest = {0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0};
  Bundle code{};
  for (; begin + longest.size() <= code.size(); begin += longest.size())
    std::ranges::copy(longest, code.begin() + static_cast<std::ptrdiff_t>(begin));
  for (; begin < code.size(); ++begin) code[begin] = 0x90;
  return code;
}

// What follows an opcode: ModRM, and SIB if there is one.
std::vector<Bytes> MakeTails(bool is_full) {
  std::vector<Bytes> tails;
  // Base rsp or r12 with and without index; no base; base rbp or r13; any other.
  const Bytes some_sibs = {0x24, 0x64, 0x04, 0x20, 0x25, 0x05, 0x60};
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    const auto byte = static_cast<unsigned char>(modrm);
    if (modrm >= 0xC0 || modrm % 8 != 4) {
      tails.push_back({byte});
      continue;
    }
    for (unsigned sib = 0; is_full && sib < 256; ++sib)
      tails.push_back({byte, static_cast<unsigned char>(sib)});
    for (std::size_t k = 0; !is_full && k < some_sibs.size(); ++k)
      tails.push_back({byte, some_sibs[k]});
  }
  return tails;
}

class Enumeration {
 public:
  explicit Enumeration(const Options& options)
      : options_(options), tails_(MakeTails(options.has_all_sibs)) {
    for (std::size_t length = 0; length < filled_.size(); ++length)
      filled_[length] = FilledFrom(length);
  }

  void Run() {
    if (options_.part.empty() || options_.part == "legacy") TryLegacy();
    if (options_.part.empty() || options_.part == "vex") TryVex();
    if (options_.part.empty() || options_.part == "forbidden") TryForbidden();
    Flush();
  }

  [[nodiscard]] bool Report() const {
    std::printf("tried %llu encodings, accepted %llu, of which %llu were wrong\n",
                static_cast<unsigned long long>(tried_), static_cast<unsigned long long>(accepted_),
                static_cast<unsigned long long>(wrong_));
    return wrong_ == 0 && accepted_ > 0;
  }

 private:
  void TryLegacy() {
    // One of each, in any order; F2 and F3 exclude each other.
    const std::vector<Bytes> prefixes = {{},
                                         {0x66},
                                         {0x67},
                                         {0xF2},
                                         {0xF3},
                                         {0x66, 0x67},
                                         {0x67, 0x66},
                                         {0x66, 0xF2},
                                         {0xF2, 0x66},
                                         {0x66, 0xF3},
                                         {0xF3, 0x66},
                                         {0x67, 0xF2},
                                         {0xF2, 0x67},
                                         {0x67, 0xF3},
                                         {0xF3, 0x67},
                                         {0x66, 0x67, 0xF2},
                                         {0x66, 0xF2, 0x67},
                                         {0x67, 0x66, 0xF2},
                                         {0x67, 0xF2, 0x66},
                                         {0xF2, 0x66, 0x67},
                                         {0xF2, 0x67, 0x66},
                                         {0x66, 0x67, 0xF3},
                                         {0x66, 0xF3, 0x67},
                                         {0x67, 0x66, 0xF3},
                                         {0x67, 0xF3, 0x66},
                                         {0xF3, 0x66, 0x67},
                                         {0xF3, 0x67, 0x66}};
    Bytes rexes = {0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4D};
    if (options_.has_all_registers) {
      rexes = {0};
      for (unsigned rex = 0x40; rex < 0x50; ++rex) rexes.push_back(static_cast<unsigned char>(rex));
    }
    const std::vector<Bytes> maps = {{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
    for (const Bytes& prefix : prefixes) {
      for (const unsigned char rex : rexes) {
        for (const Bytes& map : maps) {
          for (unsigned opcode = 0; opcode < 256; ++opcode) {
            Bytes head = prefix;
            if (rex != 0) head.push_back(rex);
            head.insert(head.end(), map.begin(), map.end());
            head.push_back(static_cast<unsigned char>(opcode));
            TryTails(head, false);
          }
        }
      }
    }
  }

  void TryVex() {
    for (const bool has_67 : {false, true}) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        for (unsigned second = 0; second < 256; ++second) {
          const unsigned vvvv = second >> 3 & 0xF;
          if (!options_.has_all_registers && vvvv != 0xF && vvvv != 0xB && vvvv != 0x3) continue;
          TryVexHead(has_67, {0xC5, static_cast<unsigned char>(second)}, opcode);
          for (unsigned map = 1; map < 4; ++map) {
            for (unsigned inverted = 0; inverted < 8; ++inverted) {
              // None of R, X, B; each; all.
              const bool is_some = inverted == 7 || inverted == 6 || inverted == 5 || inverted == 3;
              if (!options_.has_all_registers && !is_some) continue;
              TryVexHead(has_67,
                         {0xC4, static_cast<unsigned char>(inverted << 5 | map),
                          static_cast<unsigned char>(second)},
                         opcode);
            }
          }
        }
      }
    }
  }

  void TryVexHead(bool has_67, const Bytes& vex, unsigned opcode) {
    Bytes head;
    if (has_67) head.push_back(0x67);
    head.insert(head.end(), vex.begin(), vex.end());
    head.push_back(static_cast<unsigned char>(opcode));
    TryTails(head, false);
  }

  // None of these may be accepted, but that long NOPs may have some of the prefixes.
  void TryForbidden() {
    for (unsigned p0 = 0; p0 < 256; ++p0) {
      for (const unsigned p1 : {0x04u, 0x7Cu, 0x7Du, 0x7Eu, 0xFCu, 0xFDu, 0x5Cu}) {
        for (const unsigned p2 : {0x08u, 0x48u, 0x28u, 0x00u, 0x89u}) {
          for (unsigned opcode = 0; opcode < 256; ++opcode) {
            const Bytes head = {0x62, static_cast<unsigned char>(p0),
                                static_cast<unsigned char>(p1), static_cast<unsigned char>(p2),
                                static_cast<unsigned char>(opcode)};
            for (const unsigned char modrm : Bytes{0x00, 0x04, 0xC0, 0xE0})
              Try(head, {modrm}, true);
          }
        }
      }
    }
    for (unsigned map = 0; map < 256; ++map) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        const auto m = static_cast<unsigned char>(map), o = static_cast<unsigned char>(opcode);
        if (map % 32 >= 8) Try({0x8F, m, 0x78, o}, {0xC0}, true);  // XOP
        if (map % 32 == 0 || map % 32 > 3) Try({0xC4, m, 0x78, o}, {0xC0}, true);
        Try({0xD5, m, o}, {0xC0}, true);              // REX2
        Try({0x0F, 0x0F, m, 0, 0, 0, 0}, {o}, true);  // 3DNow!
      }
    }
    const std::vector<Bytes> irregular = {{0xF0},       {0x2E},       {0x36},       {0x3E},
                                          {0x26},       {0x64},       {0x65},       {0x66, 0x66},
                                          {0x67, 0x67}, {0xF3, 0xF3}, {0xF2, 0xF3}, {0x48, 0x66},
                                          {0x48, 0x48}, {0x41, 0x67}, {0xF0, 0x67}, {0x67, 0x65}};
    for (const Bytes& prefix : irregular) {
      for (const Bytes& map : std::vector<Bytes>{{}, {0x0F}, {0xC5, 0xF8}, {0xC5, 0xF9}}) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
          Bytes head = prefix;
          head.insert(head.end(), map.begin(), map.end());
          head.push_back(static_cast<unsigned char>(opcode));
          // Where an escape or prefix follows, it is another of these, or a legal instruction.
          if (map.empty() && !verifier::kDecoder.is_opcode[0][opcode]) continue;
          const bool is_nop = map == Bytes{0x0F} && opcode == 0x1F;
          TryTails(head, !is_nop);
        }
      }
    }
  }

  void TryTails(const Bytes& head, bool is_forbidden) {
    const std::uint64_t behind = (count_ + options_.stride - options_.first) % options_.stride;
    for (std::size_t k = (options_.stride - behind) % options_.stride; k < tails_.size();
         k += options_.stride)
      TryOne(head, tails_[k], is_forbidden);
    count_ += tails_.size();
  }

  void Try(const Bytes& head, const Bytes& tail, bool is_forbidden) {
    if (count_++ % options_.stride == options_.first) TryOne(head, tail, is_forbidden);
  }

  void TryOne(const Bytes& head, const Bytes& tail, bool is_forbidden) {
    ++tried_;
    // The instruction, zeros for what it has of displacement and immediate, and NOPs.
    std::array<unsigned char, verifier::kDecodeWindow> window{};
    std::ranges::copy(head, window.begin());
    std::ranges::copy(tail, window.begin() + static_cast<std::ptrdiff_t>(head.size()));
    verifier::Instruction i;
    if (!verifier::Decode(window.data(), i)) return;
    const Bundle& filled = filled_[i.length];
    std::ranges::copy(std::span(filled).subspan(i.length), window.begin() + i.length);
    std::ranges::copy(window, batch_.begin() + static_cast<std::ptrdiff_t>(batched_ * kBundleSize));
    lengths_[batched_] = i.length;
    are_forbidden_[batched_] = is_forbidden;
    if (++batched_ == kBatch) Flush();
  }

  // Many at once: a region has its price.
  void Flush() {
    const std::bitset<kBatch> accepted = FindAccepted(0), without_screen = FindAccepted(kNoScreen);
    for (std::size_t k = 0; k < batched_; ++k) {
      const std::span<const unsigned char> code =
          std::span(batch_).subspan(k * kBundleSize, kBundleSize);
      if (accepted[k] != without_screen[k]) Complain(code, "depends on the screen");
      if (accepted[k]) CheckAccepted(code, lengths_[k], are_forbidden_[k]);
    }
    batched_ = 0;
  }

  void CheckAccepted(std::span<const unsigned char> code, std::size_t length, bool is_forbidden) {
    ++accepted_;
    if (is_forbidden) return Complain(code, "may not be accepted");
    const std::size_t zydis = DecodeLength(std::as_bytes(code));
    if (zydis != length) return Complain(code, "Zydis: " + std::to_string(zydis) + " bytes");
    std::string unsafe = llvm_.FindUnsafe(code.data(), length, kAddress);
    if (!unsafe.empty()) return Complain(code, "LLVM: " + unsafe);
    unsafe = FindUnsafe(std::as_bytes(code), kAddress);
    if (!unsafe.empty()) Complain(code, "Zydis: " + unsafe);
  }

  // Which bundles of the batch have no violation.
  std::bitset<kBatch> FindAccepted(std::uint32_t weakened) {
    verifier::weakened_rules = weakened;
    constexpr unsigned kLevel = 3;
    const verifier::Code code = {batch_.data(), batched_ * kBundleSize, kAddress, kLevel};
    std::bitset<kBatch> accepted;
    accepted.set();
    const verifier::Sink sink = {[](void* context, verifier::Violation violation) {
                                   auto& set = *static_cast<std::bitset<kBatch>*>(context);
                                   set.reset(violation.offset / kBundleSize);
                                   return true;
                                 },
                                 &accepted};
    std::uint32_t scratch[verifier::ScratchWords(kBatch * kBundleSize)];
    if (!verifier::CheckRegion(code, sink)) return {};
    verifier::CheckBundles(code, 0, batched_, scratch, sink);
    // Each bundle for itself: branches may not lead to others.
    for (std::size_t k = 0; k < batched_; ++k) {
      const verifier::Code own = {batch_.data() + k * kBundleSize, kBundleSize, kAddress, kLevel};
      bool is_fine = true;
      const verifier::Sink own_sink = {[](void* context, verifier::Violation) {
                                         *static_cast<bool*>(context) = false;
                                         return false;
                                       },
                                       &is_fine};
      verifier::CheckBranches(own, 0, 1, scratch + verifier::ScratchWords(k * kBundleSize),
                              own_sink);
      if (!is_fine) accepted.reset(k);
    }
    return accepted;
  }

  void Complain(std::span<const unsigned char> code, const std::string& what) {
    constexpr std::uint64_t kShown = 40;
    if (++wrong_ > kShown) return;
    std::printf("wrong:");
    for (const unsigned char byte : code.first(verifier::kMaxInstructionLength))
      std::printf(" %02x", byte);
    std::printf(" %s\n", what.c_str());
  }

  const Options options_;
  const std::vector<Bytes> tails_;
  std::array<Bundle, verifier::kMaxInstructionLength + 1> filled_;
  std::array<unsigned char, kBatch * kBundleSize> batch_{};
  std::array<std::size_t, kBatch> lengths_{};
  std::array<bool, kBatch> are_forbidden_{};
  std::size_t batched_ = 0;
  LlvmOracle llvm_;
  std::uint64_t count_ = 0, tried_ = 0, accepted_ = 0, wrong_ = 0;
};

int Main(int argc, char** argv) {
  CLI::App app("Tries every encoding. Exit status: 0 nothing is wrong, 1 something is.");
  Options options;
  bool is_full = false;
  app.add_flag("--all-registers", options.has_all_registers,
               "All of REX, VEX.vvvv and VEX.RXB, not only the kinds that differ");
  app.add_flag("--all-sibs", options.has_all_sibs, "The same of SIB");
  app.add_flag("--full", is_full, "Both");
  app.add_option("--part", options.part, "Only the legacy maps, VEX, or what is forbidden")
      ->check(CLI::IsMember({"legacy", "vex", "forbidden"}));
  app.add_option("--stride", options.stride, "Only every so manieth one")
      ->check(CLI::PositiveNumber);
  app.add_option("--first", options.first, "Of each stride, this one");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.first %= options.stride;
  options.has_all_registers = options.has_all_registers || is_full;
  options.has_all_sibs = options.has_all_sibs || is_full;
  const auto begin = std::chrono::steady_clock::now();
  Enumeration enumeration(options);
  enumeration.Run();
  const bool is_fine = enumeration.Report();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  std::printf("%.1f s\n", time.count());
  return is_fine ? 0 : 1;
}

}  // namespace
}  // namespace zerocloud::proof

int main(int argc, char** argv) { return zerocloud::proof::Main(argc, argv); }
