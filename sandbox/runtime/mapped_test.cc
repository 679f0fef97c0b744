// Mapped channels: whose bytes a guest finds in its memory, and which channels cannot be mapped.
#include "sandbox/runtime/mapped.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"

namespace zerocloud::runtime {
namespace {

using testing::HasSubstr;

class MappedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "mapped.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    bytes_ = std::string(10000, 'm');
    bytes_.front() = 'A';
    bytes_.back() = 'Z';
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // A file on a file system, which could change.
  [[nodiscard]] UniqueFd PlainFile(const std::string& bytes) const {
    const std::string path = directory_ + "/file";
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return file;
  }
  static UniqueFd MemoryFile(const std::string& bytes, int seals) {
    UniqueFd file(::memfd_create("mapped_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
    return file;
  }

  [[nodiscard]] SessionChannel Input(UniqueFd file) const {
    SessionChannel channel;
    channel.spec.alias = "/dev/input";
    channel.spec.type = channels::AccessType::kRandomGetSequentialPut;
    channel.spec.limits = {1, 10000, 0, 0};
    channel.file = std::move(file);
    channel.size = bytes_.size();
    channel.is_mapped = true;
    return channel;
  }

  static SessionRequest RequestFor(const char* guest, SessionChannel input) {
    const UniqueFd program(::open(guest, O_RDONLY | O_CLOEXEC));
    auto image = loader::Image::LoadFile(program.get());
    EXPECT_TRUE(image);
    SessionRequest request;
    request.image = *image;
    request.memory_size = 64 << 20;
    request.timeout = std::chrono::seconds(20);
    for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
      SessionChannel& channel = request.channels.emplace_back();
      channel.spec.alias = alias;
      channel.spec.limits = {9, 99999, 9, 99999};
      channel.file.Reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
      channel.is_stream = true;
    }
    request.channels.push_back(std::move(input));
    return request;
  }

  // Runs the guest "mapped" on a channel.
  static SessionReport Run(SessionChannel input) {
    auto session = Session::Start(RequestFor(ZEROCLOUD_CHANNEL_GUESTS "mapped", std::move(input)));
    if (session) return (*session)->Wait();
    SessionReport report;
    report.message = session.error().message;
    return report;
  }

  std::string directory_, bytes_;
};

TEST_F(MappedTest, GuestReadsSealedMemoryInPlace) {
  const SessionReport report = Run(Input(MemoryFile(bytes_, F_SEAL_WRITE | F_SEAL_SHRINK)));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.exit_code, 0) << "see sandbox/testdata/channels/mapped.c";
  EXPECT_EQ(report.channels[3].gets, 1U);
  EXPECT_EQ(report.channels[3].get_bytes, bytes_.size());
}

TEST_F(MappedTest, GuestReadsACopyOfAFileThatMayChange) {
  const SessionReport report = Run(Input(PlainFile(bytes_)));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.exit_code, 0);
}

TEST_F(MappedTest, GuestReadsAFileThatIsDeclaredImmutable) {
  SessionChannel channel = Input(PlainFile(bytes_));
  channel.is_immutable = true;
  const SessionReport report = Run(std::move(channel));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.exit_code, 0);
}

// A claim that was not true harms nobody but the session, whose report says what happened.
TEST_F(MappedTest, FileThatBecomesShorterEndsTheSessionAsAFailedInput) {
  for (const bool wants_zygote : {true, false}) {
    SessionChannel input = Input(PlainFile(bytes_));
    input.is_immutable = true;
    SessionRequest request = RequestFor(ZEROCLOUD_CHANNEL_GUESTS "touch_mapped", std::move(input));
    request.wants_zygote = wants_zygote;
    std::array<int, 2> in{}, out{};
    ASSERT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    request.channels[0].file.Reset(in[0]);
    request.channels[1].file.Reset(out[1]);
    const UniqueFd say(in[1]), hear(out[0]);
    auto session = Session::Start(std::move(request));
    ASSERT_TRUE(session) << session.error().message;
    char byte = 0;
    ASSERT_EQ(::read(hear.get(), &byte, 1), 1) << "it does not run";
    ASSERT_EQ(::truncate((directory_ + "/file").c_str(), 5000), 0);
    ASSERT_EQ(::write(say.get(), &byte, 1), 1);
    const SessionReport report = (*session)->Wait();
    EXPECT_EQ(report.cause, Cause::kChannelIo) << report.message;
    EXPECT_EQ(report.channel, 3);
    EXPECT_THAT(report.message, HasSubstr("/dev/input became shorter"));
  }
}

// Its pages are the file's, or of a copy that was counted against the memory size.
TEST_F(MappedTest, MappedPagesAreNotCountedAgainstTheMemoryLimit) {
  constexpr std::uint64_t kMiB = 1 << 20;
  bytes_ = std::string(40 * kMiB, 'm');
  for (const bool is_immutable : {true, false}) {
    SessionChannel input = Input(PlainFile(bytes_));
    input.spec.limits.get_size = 40 * kMiB;
    input.is_immutable = is_immutable;
    SessionRequest request = RequestFor(ZEROCLOUD_CHANNEL_GUESTS "touch_mapped", std::move(input));
    request.memory_limit = 4 * kMiB;
    request.channels[0].file.Reset(::memfd_create("in", MFD_CLOEXEC));
    ASSERT_EQ(::write(request.channels[0].file.get(), "x", 1), 1);
    ASSERT_EQ(::lseek(request.channels[0].file.get(), 0, SEEK_SET), 0);
    auto session = Session::Start(std::move(request));
    ASSERT_TRUE(session) << session.error().message;
    const SessionReport report = (*session)->Wait();
    EXPECT_EQ(report.cause, Cause::kExited) << report.message;
    EXPECT_EQ(report.exit_code, 0);
    if (report.peak_memory) EXPECT_GT(*report.peak_memory, 40 * kMiB) << "it did not touch them";
  }
}

TEST_F(MappedTest, WhatMayChangeIsCopiedAndWhatCannotIsNot) {
  const auto is_copied = [](SessionChannel channel) {
    const int before = channel.file.get();
    std::vector<SessionChannel> channels;
    channels.push_back(std::move(channel));
    EXPECT_TRUE(PrepareMappedChannels(channels, 1 << 20));
    return channels[0].file.get() != before;
  };
  EXPECT_TRUE(is_copied(Input(PlainFile(bytes_))));
  EXPECT_TRUE(is_copied(Input(MemoryFile(bytes_, 0))));
  EXPECT_TRUE(is_copied(Input(MemoryFile(bytes_, F_SEAL_WRITE)))) << "it can be cut";
  EXPECT_TRUE(is_copied(Input(MemoryFile(bytes_, F_SEAL_SHRINK)))) << "it can be written";
  EXPECT_FALSE(is_copied(Input(MemoryFile(bytes_, F_SEAL_WRITE | F_SEAL_SHRINK))));
  SessionChannel channel = Input(PlainFile(bytes_));
  channel.is_immutable = true;
  EXPECT_FALSE(is_copied(std::move(channel)));
}

TEST_F(MappedTest, CopyIsNotTheFileAnyMore) {
  std::vector<SessionChannel> channels;
  channels.push_back(Input(PlainFile(bytes_)));
  ASSERT_TRUE(PrepareMappedChannels(channels, 1 << 20));
  ASSERT_EQ(::truncate((directory_ + "/file").c_str(), 0), 0);
  char byte = 0;
  EXPECT_EQ(::pread(channels[0].file.get(), &byte, 1, 9999), 1);
  EXPECT_EQ(byte, 'Z');
  EXPECT_EQ(::pwrite(channels[0].file.get(), "x", 1, 0), -1) << "sealed";
}

TEST_F(MappedTest, ChannelsThatCannotBeMappedAreNamedWithTheReason) {
  const auto refusal = [&](const std::function<void(SessionChannel&)>& change) {
    std::vector<SessionChannel> channels;
    channels.push_back(Input(PlainFile(bytes_)));
    change(channels[0]);
    const auto prepared = PrepareMappedChannels(channels, 9999999);
    EXPECT_FALSE(prepared);
    return prepared ? "" : prepared.error().message;
  };
  EXPECT_THAT(refusal([](auto& c) { c.is_stream = true; }), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal([](auto& c) { c.file.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }),
              HasSubstr("/dev/input cannot be mapped: it is not a regular file"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.limits.puts = c.spec.limits.put_size = 1; }),
              HasSubstr("can be written"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.type = channels::AccessType::kSequentialBoth; }),
              HasSubstr("type 1 or 3"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.wants_digest = true; }), HasSubstr("digest"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.limits.gets = 0; }), HasSubstr("limits are 0"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.limits.get_size = 9999; }), HasSubstr("and 9999"));
  EXPECT_THAT(refusal([](auto& c) { c.size = 9998; }), HasSubstr("had 9998 bytes"));
  EXPECT_THAT(refusal([](auto& c) { c.spec.sources.resize(2); }), HasSubstr("several sources"));
  std::vector<SessionChannel> channels;
  channels.push_back(Input(PlainFile(bytes_)));
  EXPECT_FALSE(PrepareMappedChannels(channels, 9999)) << "more than may be copied";
}

TEST_F(MappedTest, SessionThatMayForkHasNoMappedChannels) {
  SessionRequest request;
  const UniqueFd program(::open(ZEROCLOUD_CHANNEL_GUESTS "mapped", O_RDONLY | O_CLOEXEC));
  request.image = *loader::Image::LoadFile(program.get());
  request.memory_size = 64 << 20;
  request.timeout = std::chrono::seconds(20);
  request.wants_snapshot = true;
  request.channels.push_back(Input(PlainFile(bytes_)));
  const auto session = Session::Start(std::move(request));
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().message, HasSubstr("may fork"));
}

}  // namespace
}  // namespace zerocloud::runtime
