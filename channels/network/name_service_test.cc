#include "channels/network/name_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <thread>
#include <vector>

namespace zerocloud::network {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::ElementsAre;

constexpr std::uint32_t kLoopback = 0x7f000001;

Patience In(milliseconds time) { return {steady_clock::now() + time, -1}; }

TEST(NameService, ParcelHasItsDocumentedBytes) {
  const NameParcel parcel{
      .node = 1, .binds = {{2, 0x1234}}, .connects = {{0x7f000001, 80}, {3, 0}}};
  const auto bytes = EncodeParcel(parcel);
  std::vector<int> numbers;
  numbers.reserve(bytes.size());
  for (const std::byte byte : bytes) numbers.push_back(std::to_integer<int>(byte));
  EXPECT_THAT(numbers, ElementsAre(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2,  //
                                   0, 0, 0, 2, 0x12, 0x34,              //
                                   0x7f, 0, 0, 1, 0, 80, 0, 0, 0, 3, 0, 0));
  const auto parsed = ParseParcel(bytes);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(*parsed, parcel);
}

TEST(NameService, RefusesParcelsOfTheWrongLength) {
  const auto bytes = EncodeParcel({.node = 1, .binds = {{2, 3}}, .connects = {}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseParcel(std::span(bytes).first(size)).has_value()) << size;
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(ParseParcel(longer).has_value());
  auto huge = bytes;
  huge[4] = std::byte{0xff};
  EXPECT_FALSE(ParseParcel(huge).has_value());
}

TEST(NameService, MatchesConnectsWithBindsInTheirOrder) {
  NameTable table;
  table.Add({.node = 2, .binds = {{1, 100}, {9, 101}, {1, 102}}, .connects = {}}, kLoopback);
  const auto answer =
      table.AnswerFor({.node = 1, .binds = {}, .connects = {{2, 0}, {2, 0}, {2, 0}, {7, 0}}});
  EXPECT_THAT(answer.connects, ElementsAre(NameRecord{kLoopback, 100}, NameRecord{kLoopback, 102},
                                           NameRecord{0, 0}, NameRecord{0, 0}));
}

TEST(NameService, AnswersOnceEveryNodeHasAsked) {
  std::uint16_t port = 0;
  const auto socket = BindDatagram(kLoopback, port);
  ASSERT_TRUE(socket.has_value()) << socket.error().message;
  std::jthread server([&socket] {
    EXPECT_TRUE(ServeNames(socket->get(), 2, milliseconds(100), In(milliseconds(20'000))));
  });
  const auto ask = [port](const NameParcel& request) {
    const auto client = ConnectDatagram(kLoopback, port);
    return AskNameServer(client->get(), request, In(milliseconds(20'000)));
  };
  std::jthread other(
      [&ask] { EXPECT_TRUE(ask({.node = 2, .binds = {{1, 77}}, .connects = {}}).has_value()); });
  const auto answer = ask({.node = 1, .binds = {}, .connects = {{2, 0}}});
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_THAT(*answer, ElementsAre(NameRecord{kLoopback, 77}));
}

TEST(NameService, GivesUpWhenNobodyAnswers) {
  std::uint16_t port = 0;
  const auto silent = BindDatagram(kLoopback, port);
  ASSERT_TRUE(silent.has_value());
  const auto client = ConnectDatagram(kLoopback, port);
  const auto answer = AskNameServer(client->get(), {.node = 1, .binds = {}, .connects = {{2, 0}}},
                                    In(milliseconds(20)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kTimeout);
}

TEST(NameService, AskerStopsWhenItIsTold) {
  std::uint16_t port = 0;
  const auto silent = BindDatagram(kLoopback, port);
  const auto client = ConnectDatagram(kLoopback, port);
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  const auto answer = AskNameServer(client->get(), {.node = 1, .binds = {}, .connects = {{2, 0}}},
                                    {steady_clock::now() + milliseconds(20'000), stop.get()});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
}

TEST(NameService, ServerThatIsNotThereIsAsGoodAsSilent) {
  std::uint16_t port = 0;
  BindDatagram(kLoopback, port)->Reset();
  const auto client = ConnectDatagram(kLoopback, port);
  const auto answer = AskNameServer(client->get(), {.node = 1, .binds = {}, .connects = {{2, 0}}},
                                    In(milliseconds(20)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kTimeout);
}

TEST(NameService, RequestMustFitOneDatagram) {
  NameParcel request{.node = 1, .binds = {}, .connects = {}};
  request.connects.resize(kMaxParcelSize / 6 + 1);
  const auto answer = AskNameServer(-1, request, In(milliseconds(20'000)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kLimitExceeded);
}

// Whatever else arrives at the asker's port.
TEST(NameService, AskerPassesOverWhatIsNoAnswerToIt) {
  std::uint16_t port = 0;
  const auto socket = BindDatagram(kLoopback, port);
  ASSERT_TRUE(socket.has_value());
  std::jthread server([&socket] {
    ASSERT_TRUE(WaitFor(socket->get(), POLLIN, In(milliseconds(20'000))));
    std::array<std::byte, 99> request{};
    sockaddr_in from{};
    socklen_t size = sizeof from;
    auto* const plain = reinterpret_cast<sockaddr*>(&from);
    ASSERT_GT(::recvfrom(socket->get(), request.data(), request.size(), 0, plain, &size), 0);
    const NameParcel good{.node = 1, .binds = {}, .connects = {{kLoopback, 77}}};
    NameParcel of_another = good, too_long = good;
    of_another.node = 3;
    too_long.connects.emplace_back();
    std::vector<std::vector<std::byte>> answers = {
        {std::byte{7}}, EncodeParcel(of_another), EncodeParcel(too_long), EncodeParcel(good)};
    for (const auto& answer : answers) {
      EXPECT_EQ(::sendto(socket->get(), answer.data(), answer.size(), 0, plain, size),
                static_cast<ssize_t>(answer.size()));
    }
  });
  const auto client = ConnectDatagram(kLoopback, port);
  const auto answer = AskNameServer(client->get(), {.node = 1, .binds = {}, .connects = {{2, 0}}},
                                    In(milliseconds(20'000)));
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_THAT(*answer, ElementsAre(NameRecord{kLoopback, 77}));
}

TEST(NameService, NodeThatNobodyListensAtIsAnError) {
  std::uint16_t port = 0;
  const auto socket = BindDatagram(kLoopback, port);
  ASSERT_TRUE(socket.has_value());
  std::jthread server([&socket] {
    EXPECT_TRUE(ServeNames(socket->get(), 1, milliseconds(1), In(milliseconds(20'000))));
  });
  const auto client = ConnectDatagram(kLoopback, port);
  const auto answer = AskNameServer(client->get(), {.node = 1, .binds = {}, .connects = {{7, 0}}},
                                    In(milliseconds(20'000)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message,
            "the name server does not know where node 7 listens for node 1");
}

TEST(NameService, ServerNeedsItsPortAndItsPeers) {
  std::uint16_t port = 0;
  const auto socket = BindDatagram(kLoopback, port);
  ASSERT_TRUE(socket.has_value());
  EXPECT_FALSE(BindDatagram(kLoopback, port).has_value()) << "taken";
  const auto served = ServeNames(socket->get(), 1, milliseconds(1), In(milliseconds(10)));
  ASSERT_FALSE(served.has_value());
  EXPECT_EQ(served.error().code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace zerocloud::network
