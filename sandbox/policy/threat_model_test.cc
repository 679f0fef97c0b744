// docs/threat-model.md names tests, layers and exploits. All that it names must exist, and it must
// name every layer, every exploit and every one of ZeroVM's weak spots. docs/acceptance.md names
// tests, too.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sandbox/policy/layers.h"

namespace zerocloud::policy {
namespace {

const std::filesystem::path kSource = ZEROCLOUD_SOURCE_DIRECTORY;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// All captures of the first group.
std::set<std::string> FindAll(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

std::set<std::string> AllTests() {
  std::set<std::string> tests;
  const std::regex regex(R"(\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\))");
  for (const char* folder : {"channels", "middleware", "sandbox"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kSource / folder)) {
      if (!entry.path().filename().string().ends_with("_test.cc")) continue;
      const std::string text = ReadFile(entry.path());
      for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) {
        tests.insert((*at)[1].str() + "." + (*at)[2].str());
      }
    }
  }
  return tests;
}

class ThreatModel : public ::testing::Test {
 protected:
  const std::string page_ = ReadFile(kSource / "docs/threat-model.md");
};

void ExpectTestsExist(const std::string& page) {
  const std::set<std::string> tests = AllTests();
  const std::set<std::string> named = FindAll(page, R"(`([A-Z]\w*\.[A-Z]\w*)`)");
  EXPECT_GT(named.size(), 30U);
  for (const std::string& test : named) EXPECT_TRUE(tests.contains(test)) << test;
}

void ExpectCasesExist(const std::string& page) {
  for (const std::string& guest : FindAll(page, R"(`HostileGuest/([^`]+)`)")) {
    EXPECT_TRUE(std::filesystem::exists(kSource / "sandbox/testdata/hostile" / guest)) << guest;
  }
  for (const std::string& name : FindAll(page, R"(`VerifierCase/([^`]+)`)")) {
    const auto path = kSource / "sandbox/testdata/verifier/reject" / (name + ".s");
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
  }
  const std::string lists = ReadFile(kSource / "sandbox/testdata/guests/CMakeLists.txt");
  for (const std::string& guest : FindAll(page, R"(`guest\.(\w+)`)")) {
    EXPECT_TRUE(std::regex_search(lists, std::regex("set\\(guests[^)]*\\b" + guest + "\\b")))
        << guest;
  }
}

TEST_F(ThreatModel, NamesOnlyTestsThatExist) { ExpectTestsExist(page_); }
TEST_F(ThreatModel, NamesOnlyCasesThatExist) { ExpectCasesExist(page_); }

TEST(Acceptance, NamesOnlyTestsThatExist) {
  const std::string page = ReadFile(kSource / "docs/acceptance.md");
  ExpectTestsExist(page);
  ExpectCasesExist(page);
  for (int number = 1; number <= 14; ++number) {
    EXPECT_NE(page.find("\n| " + std::to_string(number) + " | "), std::string::npos) << number;
  }
}

TEST_F(ThreatModel, ListsEveryLayer) {
  for (const Layer layer : kAllLayers) {
    EXPECT_NE(page_.find("`" + std::string(LayerName(layer)) + "`"), std::string::npos)
        << LayerName(layer);
  }
}

TEST_F(ThreatModel, ListsEveryExploit) {
  const std::string source = ReadFile(kSource / "sandbox/exploits/exploits.c");
  const std::set<std::string> exploits = FindAll(source, R"re(\bis\("(\w+)"\))re");
  EXPECT_GT(exploits.size(), 20U);
  const std::string test = ReadFile(kSource / "sandbox/exploits/exploit_test.cc");
  for (const std::string& exploit : exploits) {
    EXPECT_NE(page_.find("`" + exploit + "`"), std::string::npos) << exploit;
    EXPECT_NE(test.find("\"" + exploit + "\""), std::string::npos) << exploit << " is not run";
  }
  for (const std::string& name : FindAll(page_, R"(`ExploitTest/([^`]+)`)")) {
    EXPECT_TRUE(exploits.contains(name)) << name;
  }
}

// They would be a launcher without walls and a loader without a verifier.
TEST_F(ThreatModel, NothingOfTheExploitsIsInstalled) {
  const std::string lists = ReadFile(kSource / "sandbox/exploits/CMakeLists.txt");
  EXPECT_NE(lists.find("zvm-session-unwalled"), std::string::npos);
  EXPECT_FALSE(std::regex_search(lists, std::regex(R"(install\s*\(|zc_program)")));
}

TEST_F(ThreatModel, AnswersEachOfZeroVmsWeakSpots) {
  for (int number = 1; number <= 14; ++number) {
    EXPECT_NE(page_.find("\n| " + std::to_string(number) + " | "), std::string::npos) << number;
  }
}

}  // namespace
}  // namespace zerocloud::policy
