// The opcode table against the full decoder: all opcodes of all maps with a grid of prefixes, ModRM
// and SIB bytes. What the verifier accepts, the oracle must find safe; every row must be good for
// something; no row may name a form that the full decoder does not know.
#include "sandbox/verifier/opcodes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "sandbox/proof/zydis_oracle.h"
#include "sandbox/verifier/verifier.h"

namespace zerocloud::verifier {
namespace {

constexpr std::uint64_t kBase = 0x400000;
constexpr Options kLevel3{.isa_level = 3, .max_violations = 1};

using Bytes = std::vector<std::uint8_t>;

// One instruction, then NOPs to the end of the bundle.
std::vector<std::byte> Bundle(const Bytes& bytes, std::size_t length) {
  std::vector<std::byte> code;
  code.reserve(kBundleSize);
  for (std::size_t k = 0; k < length; ++k)
    code.push_back(std::byte{k < bytes.size() ? bytes[k] : std::uint8_t{0}});
  while (code.size() < kBundleSize) {
    const std::size_t left = kBundleSize - code.size();
    if (left < 8) {
      code.push_back(std::byte{0x90});
      continue;
    }
    for (std::size_t k = 8; k < std::min<std::size_t>(left, 13); ++k)
      code.push_back(std::byte{0x66});
    for (const int byte : {0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0})
      code.push_back(static_cast<std::byte>(byte));
  }
  return code;
}

// Tries every encoding of the grid and keeps count.
class Grid {
 public:
  void Try(const Bytes& bytes) {
    std::array<unsigned char, kDecodeWindow> window{};
    std::ranges::copy(bytes, window.begin());
    Instruction instruction;
    if (!Decode(window.data(), instruction)) return;
    const OpcodeRow* row = FindOpcode(instruction);
    if (row == nullptr) return;
    const std::vector<std::byte> code = Bundle(bytes, instruction.length);
    if (!Verify(code, kBase, kLevel3).is_accepted()) return;
    ++accepted_;
    rows_.insert(row);
    const std::string unsafe = proof::FindUnsafe(code, kBase);
    if (!unsafe.empty() && complaints_.size() < 20) complaints_.insert(unsafe);
  }

  // `head` up to the opcode; then all reg fields with interesting addressing forms.
  void TryModrms(Bytes head) {
    const std::size_t size = head.size();
    for (unsigned mod = 0; mod < 4; ++mod) {
      for (unsigned reg = 0; reg < 8; ++reg) {
        for (const unsigned rm : {0u, 1u, 4u, 5u}) {
          head.resize(size);
          head.push_back(static_cast<std::uint8_t>(mod << 6 | reg << 3 | rm));
          if (mod == 3 || rm != 4) {
            Try(head);
            continue;
          }
          // base rsp, no index; rsp + rax; base rax, index "none"; no base
          for (const unsigned sib : {0x24u, 0x04u, 0x20u, 0x25u}) {
            head.resize(size + 1);
            head.push_back(static_cast<std::uint8_t>(sib));
            Try(head);
          }
        }
      }
    }
    // Forms that are chosen by the whole byte.
    for (unsigned modrm = 0xC0; modrm <= 0xFF; ++modrm) {
      head.resize(size);
      head.push_back(static_cast<std::uint8_t>(modrm));
      Try(head);
    }
  }

  void Expect() const {
    for (const std::string& complaint : complaints_) ADD_FAILURE() << complaint;
    EXPECT_GT(accepted_, 10'000u);
  }
  [[nodiscard]] const std::set<const OpcodeRow*>& rows() const { return rows_; }

 private:
  std::size_t accepted_ = 0;
  std::set<const OpcodeRow*> rows_;
  std::set<std::string> complaints_;
};

void TryLegacy(Grid& grid) {
  const std::vector<Bytes> prefixes = {{},
                                       {0x66},
                                       {0x67},
                                       {0xF2},
                                       {0xF3},
                                       {0x67, 0x66},
                                       {0x67, 0xF3},
                                       {0x67, 0xF2},
                                       {0x66, 0xF3},
                                       {0x66, 0xF2},
                                       {0x67, 0x66, 0xF3},
                                       {0x67, 0x66, 0xF2}};
  const std::vector<Bytes> maps = {{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
  for (const Bytes& prefix : prefixes) {
    for (const unsigned rex : {0u, 0x40u, 0x41u, 0x44u, 0x48u, 0x4Fu}) {
      for (const Bytes& map : maps) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
          Bytes head = prefix;
          if (rex != 0) head.push_back(static_cast<std::uint8_t>(rex));
          head.insert(head.end(), map.begin(), map.end());
          head.push_back(static_cast<std::uint8_t>(opcode));
          grid.TryModrms(head);
        }
      }
    }
  }
}

void TryVex(Grid& grid) {
  for (unsigned map = 1; map <= 3; ++map) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      for (unsigned low = 0; low < 8; ++low) {            // L and pp
        for (const unsigned vvvv : {0xFu, 0xBu, 0x3u}) {  // none, rsp, r12
          for (unsigned w = 0; w < 2; ++w) {
            for (const unsigned has_67 : {0u, 1u}) {
              Bytes head;
              if (has_67 != 0) head.push_back(0x67);
              head.insert(head.end(), {0xC4, static_cast<std::uint8_t>(0xE0 | map),
                                       static_cast<std::uint8_t>(w << 7 | vvvv << 3 | low),
                                       static_cast<std::uint8_t>(opcode)});
              grid.TryModrms(head);
            }
          }
        }
      }
    }
  }
}

void ExpectEveryRowUsed(const Grid& grid, bool is_vex) {
  for (const OpcodeRow& row : table::kRows) {
    // These need an instruction before them: the case files have them.
    if (row.action == Action::kIndirect || row.action == Action::kReturn) continue;
    if ((row.space >= Space::kV0F) != is_vex) continue;
    EXPECT_TRUE(grid.rows().contains(&row))
        << "no encoding of the row for space " << static_cast<int>(row.space) << ", opcodes "
        << std::hex << int{row.first} << " to " << int{row.last} << " is accepted";
  }
}

TEST(OpcodeTable, AllowsOnlySafeLegacyFormsAndHasNoUselessRow) {
  Grid grid;
  TryLegacy(grid);
  grid.Expect();
  ExpectEveryRowUsed(grid, false);
}

TEST(OpcodeTable, AllowsOnlySafeVexFormsAndHasNoUselessRow) {
  Grid grid;
  TryVex(grid);
  grid.Expect();
  ExpectEveryRowUsed(grid, true);
}

TEST(OpcodeTable, HasNoVectorIndexedForm) {
  for (const OpcodeRow& row : table::kRows) {
    const bool gathers = row.space == Space::kV0F38 && row.first <= 0x93 && 0x90 <= row.last;
    EXPECT_FALSE(gathers);
  }
}

// Random changes to code that was accepted: what is still accepted must still be safe.
TEST(Verifier, AcceptsOnlySafeMutationsOfAcceptedCode) {
  std::mt19937_64 random(20130611);
  const auto pick = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<Bytes> seeds = {
      {0x83, 0xE0, 0xE0, 0xFF, 0xE0},
      {0x48, 0x81, 0x24, 0x24, 0xE0, 0xFF, 0xFF, 0x7F, 0xC3},
      {0x67, 0x8B, 0x04, 0x88, 0x8B, 0x44, 0x24, 0x80, 0x8B, 0x05, 0x10, 0, 0, 0},
      {0x67, 0xF3, 0x48, 0xA5, 0x83, 0xEC, 0x20, 0x41, 0x54, 0x41, 0x5C},
      {0x74, 0x02, 0x89, 0xC1, 0xEB, 0xFA, 0xE8, 0, 0, 0, 0},
      {0xC4, 0xE2, 0xF3, 0xF6, 0xD0, 0x66, 0x48, 0x0F, 0x7E, 0xC0, 0xC5, 0xF8, 0x77},
      {0x67, 0xC5, 0xFC, 0x10, 0x00, 0xF2, 0x0F, 0x10, 0x44, 0x24, 0x08},
  };
  std::size_t accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    const Bytes& seed = seeds[pick(seeds.size())];
    std::vector<std::byte> code = Bundle(seed, seed.size());
    for (std::size_t changes = 1 + pick(3); changes > 0; --changes) {
      const std::size_t at = pick(seed.size());
      code[at] = pick(2) == 0 ? static_cast<std::byte>(random())
                              : code[at] ^ static_cast<std::byte>(1u << pick(8));
    }
    if (!Verify(code, kBase, kLevel3).is_accepted()) continue;
    ++accepted;
    ASSERT_EQ(proof::FindUnsafe(code, kBase), "");
  }
  EXPECT_GT(accepted, 1000u);
}

}  // namespace
}  // namespace zerocloud::verifier
