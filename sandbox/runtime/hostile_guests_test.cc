// Every guest of sandbox/testdata/hostile tries one thing; its source says how that must end:
//
//   expect: rejected V05     the verifier names that rule first
//   expect: faulted 11       the guest raised that signal
//   expect: exited 0         it exited with that code: it checks by itself that it was refused
//   expect: timed_out
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/session.h"
#include "sandbox/verifier/rules.h"

namespace zerocloud::runtime {
namespace {

const std::filesystem::path kSources = ZEROCLOUD_HOSTILE_SOURCES;
const std::string kProgramPrefix = ZEROCLOUD_HOSTILE_PROGRAMS;

struct Expectation {
  std::string outcome;
  std::string detail;  // rule, signal or exit code
};

Expectation ReadExpectation(const std::filesystem::path& source) {
  std::ifstream in(source);
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t at = line.find("expect: ");
    if (at == std::string::npos) continue;
    std::istringstream words(line.substr(at + 8));
    Expectation expectation;
    words >> expectation.outcome >> expectation.detail;
    return expectation;
  }
  return {};
}

std::vector<std::string> AllGuests() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kSources)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

SessionChannel StandardChannel(const char* alias, channels::ChannelLimits limits) {
  SessionChannel channel;
  channel.spec.alias = alias;
  channel.spec.limits = limits;
  channel.file.Reset(memfd_create(alias, MFD_CLOEXEC));
  EXPECT_TRUE(channel.file.is_open());
  return channel;
}

SessionReport RunSession(std::shared_ptr<const loader::Image> image) {
  SessionRequest request;
  request.image = std::move(image);
  request.memory_size = 64 << 20;
  request.timeout = std::chrono::milliseconds(300);
  request.channels.push_back(StandardChannel("/dev/stdin", {100, 100000, 0, 0}));
  request.channels.push_back(StandardChannel("/dev/stdout", {0, 0, 1000, 1000000}));
  request.channels.push_back(StandardChannel("/dev/stderr", {0, 0, 1000, 1000000}));
  auto session = Session::Start(std::move(request));
  EXPECT_TRUE(session) << session.error().message;
  return session ? (*session)->Wait() : SessionReport{};
}

class HostileGuest : public ::testing::TestWithParam<std::string> {};

TEST_P(HostileGuest, EndsAsItsSourceSays) {
  const Expectation expected = ReadExpectation(kSources / GetParam());
  ASSERT_FALSE(expected.outcome.empty()) << GetParam() << " has no expect: line";
  const std::string program = kProgramPrefix + std::filesystem::path(GetParam()).stem().string();
  const UniqueFd file(open(program.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.is_open()) << program;
  const auto bytes = loader::ReadImageFile(file.get());
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto examined = loader::Examine(*bytes);
  ASSERT_TRUE(examined) << examined.error().message;

  if (expected.outcome == "rejected") {
    ASSERT_FALSE(examined->verdict.is_accepted());
    EXPECT_EQ(verifier::GetRule(examined->verdict.violations.front().rule).id, expected.detail);
    EXPECT_FALSE(loader::Image::Load(*bytes)) << "an image of a rejected program";
    return;
  }
  auto image = loader::Image::Load(*bytes);
  ASSERT_TRUE(image) << image.error().message;
  const SessionReport report = RunSession(*image);
  EXPECT_EQ(ToString(report.cause), expected.outcome) << report.message;
  if (expected.outcome == "faulted") {
    EXPECT_EQ(std::to_string(report.signal), expected.detail);
    EXPECT_LT(report.guest_pc, std::uint64_t{1} << 32);
  }
  if (expected.outcome == "exited") {
    EXPECT_EQ(std::to_string(report.exit_code), expected.detail);
  }
}

INSTANTIATE_TEST_SUITE_P(Sources, HostileGuest, ::testing::ValuesIn(AllGuests()),
                         [](const auto& guest) {
                           std::string name = guest.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace zerocloud::runtime
