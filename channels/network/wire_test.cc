#include "channels/network/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace zerocloud::network {
namespace {

using State = FrameReader::State;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::vector<std::byte> Stream(const std::vector<std::string>& frames) {
  FrameWriter writer;
  std::vector<std::byte> out;
  for (const std::string& frame : frames) writer.AppendFrame(Bytes(frame), out);
  writer.AppendEnd(out);
  return out;
}

struct Received {
  std::string text;
  State state;
  std::size_t left;
};

Received Receive(std::span<const std::byte> stream, std::size_t cut) {
  FrameReader reader;
  Received received{};
  while (!stream.empty() && reader.state() == State::kOpen) {
    const auto step = reader.Next(stream.first(std::min(cut, stream.size())));
    received.text.append(reinterpret_cast<const char*>(step.data.data()), step.data.size());
    stream = stream.subspan(step.taken);
  }
  received.state = reader.state();
  received.left = stream.size();
  return received;
}

TEST(Wire, CarriesAStreamHoweverItIsCut) {
  const std::string big(kMaxFrameSize, 'b');
  const auto stream = Stream({"hello", big, "x"});
  for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{4096}, stream.size()}) {
    const Received received = Receive(stream, cut);
    EXPECT_EQ(received.state, State::kEnded) << cut;
    EXPECT_EQ(received.text, "hello" + big + "x") << cut;
  }
}

TEST(Wire, EmptyStreamHasAnEnd) { EXPECT_EQ(Receive(Stream({}), 99).state, State::kEnded); }

TEST(Wire, EveryChangedByteBreaksTheStream) {
  const auto good = Stream({"hello"});
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{1};
    EXPECT_NE(Receive(bad, 99).state, State::kEnded) << i;
  }
}

TEST(Wire, StreamThatIsCutOffDoesNotEnd) {
  const auto good = Stream({"hello"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(Receive(std::span(good).first(size), 99).state, State::kOpen) << size;
  }
}

TEST(Wire, RefusesFramesThatAreTooLong) {
  const auto stream = Bytes(std::string_view("\0\1\0\1rest", 8));
  const Received received = Receive(stream, 99);
  EXPECT_EQ(received.state, State::kBroken);
  EXPECT_EQ(received.left, 4U);
}

TEST(Wire, GreetingNamesTheWritersNode) {
  const auto greeting = MakeGreeting(0x01020304);
  EXPECT_EQ(ParseGreeting(greeting), 0x01020304U);
  for (std::size_t i = 0; i < 8; ++i) {
    auto bad = greeting;
    bad[i] ^= std::byte{1};
    EXPECT_FALSE(ParseGreeting(bad).has_value());
  }
  EXPECT_FALSE(ParseGreeting(std::span(greeting).first(15)).has_value());
  EXPECT_FALSE(ParseGreeting({}).has_value());
}

}  // namespace
}  // namespace zerocloud::network
