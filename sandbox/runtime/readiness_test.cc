// Readiness: a guest that waits for whichever of two channels is first.
#include "sandbox/runtime/readiness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/include/zvm.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::runtime {
namespace {

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read.Reset(ends[0]);
    write.Reset(ends[1]);
  }
};

std::vector<std::int64_t> Ask(int guest_end, const std::vector<std::int32_t>& handles, bool wait) {
  const ZVMReadinessQuery query = {static_cast<std::uint32_t>(handles.size()), wait ? 1U : 0U};
  EXPECT_EQ(::write(guest_end, &query, sizeof query), static_cast<ssize_t>(sizeof query));
  const std::size_t size = handles.size() * sizeof handles[0];
  EXPECT_EQ(::write(guest_end, handles.data(), size), static_cast<ssize_t>(size));
  std::vector<std::int64_t> answer(handles.size());
  const std::size_t answer_size = answer.size() * sizeof answer[0];
  const ssize_t count = ::recv(guest_end, answer.data(), answer_size, MSG_WAITALL);
  if (count != static_cast<ssize_t>(answer_size)) answer.clear();
  return answer;
}

using Answer = std::vector<std::int64_t>;
constexpr std::int64_t kNeverWaits = std::numeric_limits<std::int64_t>::max();

TEST(Readiness, TellsWhatIsThereWhatIsNotAndWhatHasEnded) {
  Pipe filled, empty, ended;
  ended.write.Reset();
  ASSERT_EQ(::write(filled.write.get(), "abc", 3), 3);
  UniqueFd guest_end;
  const auto readiness =
      Readiness::Start({filled.read.get(), empty.read.get(), ended.read.get(), -1}, guest_end);
  ASSERT_TRUE(readiness);
  EXPECT_EQ(Ask(guest_end.get(), {0, 1, 2, 3}, true), (Answer{3, 0, -1, kNeverWaits}));
  EXPECT_EQ(Ask(guest_end.get(), {1}, false), Answer{0});
  EXPECT_EQ(Ask(guest_end.get(), {1, 3}, true), (Answer{0, kNeverWaits})) << "a file is ready";
}

TEST(Readiness, EndsWithTheSessionAlsoWhileItWaits) {
  Pipe empty;
  UniqueFd guest_end;
  auto readiness = Readiness::Start({empty.read.get()}, guest_end);
  ASSERT_TRUE(readiness);
  const ZVMReadinessQuery query = {1, 1};
  const std::int32_t handle = 0;
  ASSERT_EQ(::write(guest_end.get(), &query, sizeof query), static_cast<ssize_t>(sizeof query));
  ASSERT_EQ(::write(guest_end.get(), &handle, sizeof handle), 4);
  guest_end.Reset();
  readiness->reset();  // would hang
}

TEST(Readiness, EndsAlsoWhileNobodyTakesItsAnswers) {
  UniqueFd guest_end;
  auto readiness = Readiness::Start({-1}, guest_end);
  ASSERT_TRUE(readiness);
  constexpr std::uint32_t kCount = ZVM_READINESS_MAX;
  std::vector<std::int32_t> question(2 + kCount, 0);
  question[0] = kCount;
  const std::size_t size = question.size() * sizeof question[0];
  // Until neither direction takes any more: the answers are twice as long as the questions.
  while (::send(guest_end.get(), question.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
  readiness->reset();  // would hang
}

TEST(Readiness, NonsenseEndsTheChannel) {
  for (const auto& [count, handle] : {std::pair{0U, 0}, std::pair{1U, 1}, std::pair{1U, -1},
                                      std::pair{~0U, 0}, std::pair{ZVM_READINESS_MAX + 1U, 0}}) {
    UniqueFd guest_end;
    const auto readiness = Readiness::Start({-1}, guest_end);
    ASSERT_TRUE(readiness);
    const ZVMReadinessQuery query = {count, 0};
    ASSERT_EQ(::write(guest_end.get(), &query, sizeof query), static_cast<ssize_t>(sizeof query));
    ::send(guest_end.get(), &handle, sizeof handle, MSG_NOSIGNAL);
    char byte = 0;
    EXPECT_LE(::read(guest_end.get(), &byte, 1), 0) << count << ' ' << handle;
  }
}

// The guest's poll and select, with a host that writes only when it has seen what came before.
void CopyInOrder(bool by_select) {
  Pipe a, b, output;
  const UniqueFd program(::open(ZEROCLOUD_CHANNEL_GUESTS "ready", O_RDONLY | O_CLOEXEC));
  auto image = loader::Image::LoadFile(program.get());
  ASSERT_TRUE(image);
  SessionRequest request;
  request.image = *image;
  request.memory_size = 64 << 20;
  request.timeout = std::chrono::seconds(20);
  request.wants_readiness = true;
  const auto add = [&](const char* alias, UniqueFd file, channels::ChannelLimits limits) {
    SessionChannel& channel = request.channels.emplace_back();
    channel.spec.alias = alias;
    channel.spec.limits = limits;
    channel.file = std::move(file);
    channel.is_stream = true;
  };
  const char* const source = by_select ? "/dev/zero" : "/dev/null";
  add("/dev/stdin", UniqueFd(::open(source, O_RDONLY | O_CLOEXEC)), {9, 9, 0, 0});
  add("/dev/stdout", std::move(output.write), {0, 0, 99, 99});
  add("/dev/stderr", UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)), {0, 0, 9, 99});
  add("/dev/a", std::move(a.read), {99, 99, 0, 0});
  add("/dev/b", std::move(b.read), {99, 99, 0, 0});
  auto session = Session::Start(std::move(request));
  ASSERT_TRUE(session) << session.error().message;

  const auto next = [&] {
    char byte = '?';
    EXPECT_EQ(::read(output.read.get(), &byte, 1), 1);
    return byte;
  };
  EXPECT_EQ(next(), '.');
  for (const char letter : {'b', 'B', 'a', 'b', 'A', 'a'}) {
    const Pipe& pipe = letter == 'a' || letter == 'A' ? a : b;
    ASSERT_EQ(::write(pipe.write.get(), &letter, 1), 1);
    EXPECT_EQ(next(), letter);
  }
  a.write.Reset();
  ASSERT_EQ(::write(b.write.get(), "z", 1), 1);
  EXPECT_EQ(next(), 'z');
  b.write.Reset();
  const SessionReport report = (*session)->Wait();
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.exit_code, 0) << "see sandbox/testdata/channels/ready.c";
  EXPECT_EQ(report.channels.size(), 5U) << "the readiness channel is nobody's business";
}

TEST(Readiness, GuestPollsChannelsInTheOrderInWhichTheyCome) { CopyInOrder(false); }
TEST(Readiness, GuestSelectsChannelsInTheOrderInWhichTheyCome) { CopyInOrder(true); }

}  // namespace
}  // namespace zerocloud::runtime
