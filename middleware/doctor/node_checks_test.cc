// What real nodes cannot be made to say here; the rest is in integration-tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "middleware/doctor/checks.h"
#include "middleware/peer/testing/keys_on_disk.h"
#include "middleware/remote/testing/scripted_node.h"

namespace zerocloud::doctor {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

class NodeChecksTest : public ::testing::Test {
 protected:
  NodeChecksTest() {
    std::string name = testing::TempDir() + "/doctor-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    config.nodes.key_file = directory_ + "/keys";
    WriteKeys(peer::KeysOnDisk::Line("one", "5a"));
  }
  ~NodeChecksTest() override { std::filesystem::remove_all(directory_); }

  void WriteKeys(const std::string& text) const {
    std::ofstream(config.nodes.key_file) << text;
    ::chmod(config.nodes.key_file.c_str(), 0600);
  }
  // A node that greets like that.
  Findings Look(const remote::Hello& hello) {
    auto keys = peer::KeyFile::Open(config.nodes.key_file);
    EXPECT_TRUE(keys.has_value());
    const remote::ScriptedNode node("127.0.0.1", **keys, hello,
                                    [](peer::SecureConnection&, const remote::Offer&) {});
    config.nodes.list = "127.0.0.1:" + std::to_string(node.port());
    Findings findings;
    CheckNodes(config, findings);
    return findings;
  }
  [[nodiscard]] remote::Hello Agreeing() const {
    return {.slots = 7,
            .time = static_cast<std::uint64_t>(std::time(nullptr)),
            .program_bytes = config.jobs.program_bytes,
            .memory_bytes = config.jobs.memory_bytes,
            .timeout_seconds = config.jobs.timeout_seconds};
  }
  static auto Is(State state, const std::string& sentence) {
    return AllOf(Field(&Finding::state, state), Field(&Finding::found, HasSubstr(sentence)));
  }
  config::Config config;

 private:
  std::string directory_;
};

TEST_F(NodeChecksTest, ANodeThatAgreesIsGood) {
  EXPECT_THAT(Look(Agreeing()), ElementsAre(Is(State::kGood, "answers and has 7 slots")));
}

TEST_F(NodeChecksTest, AClockThatIsOffIsTold) {
  remote::Hello hello = Agreeing();
  hello.time += 3600;
  EXPECT_THAT(Look(hello), ElementsAre(Is(State::kWrong, "seconds ahead of this host's")));
  hello.time -= 7200;
  EXPECT_THAT(Look(hello), ElementsAre(Is(State::kWrong, "seconds behind this host's")));
  hello.time = Agreeing().time - 30;
  EXPECT_THAT(Look(hello), ElementsAre(Is(State::kWarning, "seconds behind this host's")));
}

TEST_F(NodeChecksTest, LimitsThatDisagreeAreTold) {
  remote::Hello hello = Agreeing();
  hello.memory_bytes = 5;
  hello.timeout_seconds -= 1;
  hello.program_bytes *= 2;  // it takes more: nothing is refused
  const Findings findings = Look(hello);
  EXPECT_THAT(findings, ElementsAre(Is(State::kWarning, "jobs.memory_bytes of 127.0.0.1:"),
                                    Is(State::kWarning, "jobs.timeout_seconds of 127.0.0.1:")));
  EXPECT_THAT(findings[0].found, HasSubstr(" is 5, here it is "));
}

TEST_F(NodeChecksTest, KeysThatEndAreTold) {
  const auto look = [&](const std::string& keys) {
    WriteKeys(keys);
    Findings findings;
    CheckKeys(config, findings);
    return findings;
  };
  const std::string digits(64, '7');
  const auto from_now = [](std::int64_t seconds) {
    const std::time_t when = std::time(nullptr) + seconds;
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    std::string text(20, '\0');
    std::strftime(text.data(), text.size() + 1, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
  };
  EXPECT_THAT(look("a - - " + digits + "\n"), ElementsAre(Is(State::kGood, "key \"a\" is used")));
  const std::string ends = "a - " + from_now(86'400) + " " + digits + "\n";
  EXPECT_THAT(look(ends), ElementsAre(Is(State::kWarning, "key \"a\" ends within 7 days")));
  const std::string follows = "b " + from_now(43'200) + " - " + digits + "\n";
  EXPECT_THAT(look(ends + follows), ElementsAre(Is(State::kGood, "key \"a\" is used, of 2")));
  EXPECT_THAT(look(follows), ElementsAre(Is(State::kWrong, "none of the 1 keys")));
}

}  // namespace
}  // namespace zerocloud::doctor
