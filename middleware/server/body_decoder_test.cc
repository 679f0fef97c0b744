#include "middleware/server/body_decoder.h"

#include <gtest/gtest.h>

#include <string>

namespace zerocloud::server {
namespace {

TEST(BodyDecoder, OnlyABodyOfKnownLengthCanGoAnotherWay) {
  BodyDecoder known({BodyFraming::Kind::kLength, 10});
  EXPECT_EQ(known.Take("abc").data, "abc");
  EXPECT_EQ(known.left_unframed(), 7U);
  known.Skip(5);
  EXPECT_EQ(known.Take("fghij").data, "fg");
  EXPECT_TRUE(known.is_done());
  EXPECT_EQ(known.left_unframed(), 0U);

  BodyDecoder skipped({BodyFraming::Kind::kLength, 10});
  skipped.Skip(10);
  EXPECT_TRUE(skipped.is_done());
  BodyDecoder exceeded({BodyFraming::Kind::kLength, 10});
  exceeded.Skip(11);
  EXPECT_EQ(exceeded.state(), BodyDecoder::State::kRefused);

  BodyDecoder chunked({BodyFraming::Kind::kChunked, 0});
  chunked.Take("100000\r\n");
  EXPECT_EQ(chunked.left_unframed(), 0U);
  EXPECT_EQ(BodyDecoder({BodyFraming::Kind::kUntilEnd, 0}).left_unframed(), 0U);
  EXPECT_EQ(BodyDecoder().left_unframed(), 0U);
}

using Kind = BodyFraming::Kind;
using State = BodyDecoder::State;

struct Decoded {
  std::string body;
  std::size_t consumed = 0;
  State state = State::kGoesOn;
};

// All of `input`, shown `step` bytes at a time.
Decoded Decode(BodyFraming framing, std::string_view input, std::size_t step) {
  BodyDecoder decoder(framing);
  Decoded result;
  std::size_t shown = 0;
  while (decoder.state() == State::kGoesOn) {
    const BodyDecoder::Step taken =
        decoder.Take(input.substr(result.consumed, shown - result.consumed));
    result.body += taken.data;
    result.consumed += taken.consumed;
    if (taken.consumed > 0) continue;
    if (shown == input.size()) break;
    shown = std::min(shown + step, input.size());
  }
  result.state = decoder.state();
  return result;
}

TEST(BodyDecoder, TakesChunksApartHoweverTheyArrive) {
  const std::string body =
      "3\r\nabc\r\n00A;name=\"v\"\r\n0123456789\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\n";
  for (std::size_t step = 1; step <= body.size() + 4; ++step) {
    const Decoded decoded = Decode({Kind::kChunked, 0}, body + "GET ", step);
    EXPECT_EQ(decoded.body, "abc0123456789");
    EXPECT_EQ(decoded.state, State::kDone);
    EXPECT_EQ(decoded.consumed, body.size()) << "a byte of the next request was taken";
  }
}

TEST(BodyDecoder, TakesExactlyTheLength) {
  const Decoded decoded = Decode({Kind::kLength, 5}, "abcdefgh", 2);
  EXPECT_EQ(decoded.body, "abcde");
  EXPECT_EQ(decoded.consumed, 5U);
  EXPECT_TRUE(BodyDecoder({Kind::kNone, 0}).is_done());
  EXPECT_TRUE(BodyDecoder({Kind::kLength, 0}).is_done());
}

TEST(BodyDecoder, EndsWithTheConnectionOnlyWhereThatIsTheFraming) {
  BodyDecoder until_end({Kind::kUntilEnd, 0});
  EXPECT_EQ(until_end.Take("abc").data, "abc");
  until_end.TakeEnd();
  EXPECT_TRUE(until_end.is_done());
  for (const BodyFraming framing : {BodyFraming{Kind::kLength, 5}, {Kind::kChunked, 0}}) {
    BodyDecoder decoder(framing);
    decoder.Take("3\r\n");
    decoder.TakeEnd();
    EXPECT_EQ(decoder.state(), State::kRefused);
  }
}

TEST(BodyDecoder, BoundsWhatItSkips) {
  for (const std::string start : {"0\r\nA: ", "1;"}) {
    const Decoded decoded = Decode({Kind::kChunked, 0}, start + std::string(70'000, 'x'), 70'000);
    EXPECT_EQ(decoded.state, State::kRefused);
    EXPECT_LT(decoded.consumed, 66'000U);
  }
  // The bound is that of the whole body, not of each chunk.
  std::string many;
  for (int i = 0; i < 100; ++i) many += "1;" + std::string(1000, 'x') + "\r\na\r\n";
  EXPECT_EQ(Decode({Kind::kChunked, 0}, many, many.size()).state, State::kRefused);
}

}  // namespace
}  // namespace zerocloud::server
