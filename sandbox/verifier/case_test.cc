// Runs every file of sandbox/testdata/verifier: each says in its header which violations it has.
//
//   # expect: V14 @0x3     one line per violation, in order; or "accept"
//   # isa: 3               the level that the image declares; 2 if absent
//   # base: 0x7fffffe0     where the code is mapped; 0x400000 if absent
//   # pad: no              do not fill the last bundle with int3
//
// A file's name begins with the rule that it is about. Objects are assembled by the build.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sandbox/verifier/verifier.h"

namespace zerocloud::verifier {

#ifdef ZEROCLOUD_WEAKENED_VERIFIER
std::uint32_t weakened_rules = 0;
#endif

namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;  // "reject/V14_no_mask"
  std::vector<std::string> expected;
  Options options;
  std::uint64_t base = 0x400000;
  bool is_padded = true;

  [[nodiscard]] std::string rule() const { return fs::path(name).filename().string().substr(0, 3); }
  [[nodiscard]] bool is_accept() const { return name.starts_with("accept/"); }
};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

Case ReadCase(const fs::path& source) {
  Case result;
  result.name = source.parent_path().filename().string() + "/" + source.stem().string();
  std::istringstream lines(ReadFile(source));
  for (std::string line; std::getline(lines, line) && line.starts_with("#");) {
    const auto value = [&line](std::string_view key) -> std::optional<std::string> {
      const std::string prefix = "# " + std::string(key) + ": ";
      if (!line.starts_with(prefix)) return std::nullopt;
      return line.substr(prefix.size());
    };
    if (const auto expected = value("expect")) result.expected.push_back(*expected);
    if (const auto isa = value("isa"))
      result.options.isa_level = static_cast<unsigned>(std::stoul(*isa));
    if (const auto base = value("base")) result.base = std::stoull(*base, nullptr, 0);
    if (value("pad") == "no") result.is_padded = false;
  }
  return result;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const char* folder : {"accept", "reject"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(ZEROCLOUD_CASES) / folder)) {
      cases.push_back(ReadCase(entry.path()));
    }
  }
  std::ranges::sort(cases, {}, &Case::name);
  return cases;
}

template <typename T>
T At(const std::string& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.substr(offset, sizeof value).data(), sizeof value);
  return value;
}

// The bytes of section .text of an object file.
std::vector<std::byte> Text(const std::string& object) {
  const auto header = At<Elf64_Ehdr>(object, 0);
  const auto section = [&](std::size_t k) {
    return At<Elf64_Shdr>(object, header.e_shoff + k * sizeof(Elf64_Shdr));
  };
  const auto names = section(header.e_shstrndx).sh_offset;
  for (std::size_t k = 0; k < header.e_shnum; ++k) {
    const Elf64_Shdr text = section(k);
    if (std::string(object.c_str() + names + text.sh_name) != ".text") continue;
    std::vector<std::byte> bytes(text.sh_size);
    std::memcpy(bytes.data(), object.data() + text.sh_offset, bytes.size());
    return bytes;
  }
  return {};
}

std::vector<std::string> Describe(const Verdict& verdict) {
  if (verdict.is_accepted()) return {"accept"};
  std::vector<std::string> lines;
  for (const Violation& violation : verdict.violations) {
    std::ostringstream line;
    line << GetRule(violation.rule).id << " @0x" << std::hex << violation.offset;
    lines.push_back(line.str());
  }
  return lines;
}

// The verdict on a case, as its header would state it.
std::vector<std::string> VerdictOn(const Case& test) {
  const std::string object = ReadFile(fs::path(ZEROCLOUD_CASE_OBJECTS) / (test.name + ".o"));
  EXPECT_FALSE(object.empty()) << test.name << " is not assembled: configure the build again";
  if (object.empty()) return {};
  std::vector<std::byte> code = Text(object);
  EXPECT_FALSE(code.empty()) << test.name;
  if (test.is_padded) code.resize((code.size() + 31) / 32 * 32, std::byte{0xCC});
  return Describe(Verify(code, test.base, test.options));
}

#ifdef ZEROCLOUD_WEAKENED_VERIFIER

// The cases are worth something only if a verifier that has lost a rule fails them: each of the
// rules of rules.def, one after the other.
class VerifierMutations : public testing::TestWithParam<std::size_t> {
 protected:
  ~VerifierMutations() override { weakened_rules = 0; }
};

TEST_P(VerifierMutations, AVerifierThatLacksTheRuleFailsSomeCase) {
  const std::string rule(kRules[GetParam()].id);
  std::size_t failed = 0, failed_of_its_own = 0, accepted = 0;
  for (const Case& test : AllCases()) {
    weakened_rules = 0;
    ASSERT_EQ(VerdictOn(test), test.expected) << test.name << " with every rule";
    weakened_rules = 1U << GetParam();
    const std::vector<std::string> verdict = VerdictOn(test);
    if (verdict == test.expected) continue;
    ++failed;
    failed_of_its_own += test.rule() == rule ? 1 : 0;
    accepted += verdict == std::vector<std::string>{"accept"} ? 1 : 0;
  }
  std::cout << rule << ": " << failed << " cases fail, " << accepted << " of them are accepted\n";
  EXPECT_GT(failed, 0U);
  EXPECT_GT(failed_of_its_own, 0U) << "none is named for it";
  // What V16 refuses other rules refuse too: it is there to say why.
  if (rule != "V16") EXPECT_GT(accepted, 0U);
}

INSTANTIATE_TEST_SUITE_P(EachRule, VerifierMutations, testing::Range<std::size_t>(0, kRules.size()),
                         [](const auto& info) { return std::string(kRules[info.param].id); });

TEST(VerifierScreen, ChangesNoVerdict) {
  weakened_rules = 1u << 31;
  for (const Case& test : AllCases()) EXPECT_EQ(VerdictOn(test), test.expected) << test.name;
  weakened_rules = 0;
}

#else

// All files in one test: there are hundreds, and a process for each would take most of the time.
TEST(VerifierCases, HaveExactlyTheirExpectedVerdicts) {
  for (const Case& test : AllCases()) EXPECT_EQ(VerdictOn(test), test.expected) << test.name;
}

TEST(VerifierCases, AreNamedForTheirRules) {
  for (const Case& test : AllCases()) {
    if (test.is_accept()) {
      EXPECT_THAT(test.expected, testing::ElementsAre("accept")) << test.name;
    } else {
      EXPECT_THAT(test.expected, testing::Contains(testing::StartsWith(test.rule() + " @0x")))
          << test.name;
    }
  }
}

TEST(VerifierCases, EveryRuleHasCodeThatKeepsItAndCodeThatBreaksIt) {
  std::map<std::string, std::set<std::string>> folders;
  for (const Case& test : AllCases())
    folders[test.rule()].insert(test.is_accept() ? "accept" : "reject");
  for (const Rule& rule : kRules) {
    EXPECT_THAT(folders[std::string(rule.id)], testing::ElementsAre("accept", "reject")) << rule.id;
    folders.erase(std::string(rule.id));
  }
  EXPECT_TRUE(folders.empty()) << "files about a rule that does not exist: "
                               << folders.begin()->first;
}

TEST(VerifierDocumentation, HasASectionForEachRuleWithItsStatement) {
  const std::string text = ReadFile(fs::path(ZEROCLOUD_SOURCES) / "docs/verifier.md");
  for (const Rule& rule : kRules) {
    EXPECT_THAT(text,
                testing::HasSubstr("### " + std::string(rule.id) + " " + std::string(rule.name) +
                                   "\n\n" + std::string(rule.statement) + "\n"));
  }
}

#endif

}  // namespace
}  // namespace zerocloud::verifier
