#include "middleware/remote/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zerocloud::remote {
namespace {

using testing::HasSubstr;

Offer Full() {
  Offer offer;
  offer.session = "map-1";
  offer.caller = {.account = "AUTH_a", .user = "a:b", .token = "t\xff"};
  offer.sha256 = std::string(64, 'b');
  offer.program_size = 12'345;
  offer.memory_size = 1 << 26;
  offer.timeout = std::chrono::milliseconds(1500);
  offer.cpu_limit = std::chrono::seconds(7);
  offer.memory_limit = 99;
  offer.stderr_tail_bytes = 100;
  offer.nvram_bytes = 200;
  offer.channels.resize(4);
  offer.channels[0] = {.alias = "/dev/stdin",
                       .type = channels::AccessType::kSequentialBoth,
                       .limits = {10, 20, 0, 0},
                       .source = Source::kObject,
                       .path = {"AUTH_a", "c", "o/\xff"},
                       .is_random = true,
                       .is_local_object = true,
                       .listed = store::ObjectInfo{.size = 3,
                                                   .etag = "e",
                                                   .content_type = "text/\xe9",
                                                   .last_modified = "1.2",
                                                   .metadata = {}},
                       .listed_ago = std::chrono::milliseconds(17)};
  const auto set = [&](std::size_t i, const char* alias, channels::ChannelLimits limits,
                       Source source) {
    offer.channels[i].alias = alias;
    offer.channels[i].limits = limits;
    offer.channels[i].source = source;
  };
  set(1, "/dev/stdout", {0, 0, 1, 2}, Source::kOutput);
  set(2, "/dev/stderr", {0, 0, 1, 2}, Source::kStderr);
  set(3, "/dev/in/x", {1, 2, 0, 0}, Source::kBytes);
  offer.channels[3].size = 42;
  return offer;
}

TEST(Wire, CarriesOffers) {
  const std::string json = Encode(Full());
  const Result<Offer> parsed = ParseOffer(json);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), json);
  EXPECT_EQ(parsed->caller.token, "t\xff");
  EXPECT_EQ(parsed->channels[0].path.object, "o/\xff");
  const auto& listed = parsed->channels[0].listed;
  EXPECT_EQ(listed ? listed->content_type : "none", "text/\xe9");
  EXPECT_EQ(parsed->channels[3].size, 42U);
}

TEST(Wire, CarriesReports) {
  EndReport end;
  end.report.cause = runtime::Cause::kFaulted;
  end.report.exit_code = -5;
  end.report.signal = 11;
  end.report.guest_pc = 0xffffffffffffffff;
  end.report.symbol = "main+0x1";
  end.report.peak_memory = 4096;
  end.report.channels.resize(2);
  end.report.channels[1].alias = "/dev/stdout";
  end.report.channels[1].hit_put_limit = true;
  end.why_not_local = "because";
  end.stderr_tail = std::string("\0\xff\n", 3);
  const std::string json = Encode(end);
  const Result<EndReport> parsed = ParseEndReport(json);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), json);
  EXPECT_EQ(parsed->report.exit_code, -5);
  EXPECT_EQ(parsed->report.guest_pc, 0xffffffffffffffff);
  EXPECT_EQ(parsed->stderr_tail, end.stderr_tail);
  EXPECT_TRUE(parsed->report.channels[1].hit_put_limit);
}

TEST(Wire, CarriesTheRest) {
  EXPECT_EQ(ParseHello(Encode(Hello{3, 4, 5, 6, 7, 8})).value(), (Hello{3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(ParseAccepted(Encode(Accepted{true})).value().needs_program);
  const auto end = ParseStreamEnd(Encode(StreamEnd{kProgramChannel, 7, std::string(64, 'c')}));
  EXPECT_EQ(end.value().size, 7U);
  const auto failure = ParseFailure(Encode(Failure{{ErrorCode::kNotFound, "no"}, "/dev/stdin"}));
  EXPECT_EQ(failure.value().error, (Error{ErrorCode::kNotFound, "no"}));
  EXPECT_EQ(failure.value().alias, "/dev/stdin");
}

std::string Refusal(const Offer& offer) {
  const Result<Offer> parsed = ParseOffer(Encode(offer));
  EXPECT_FALSE(parsed.has_value());
  return parsed ? "" : parsed.error().message;
}

TEST(Wire, RefusesOffersThatCannotBe) {
  Offer offer = Full();
  offer.channels.erase(offer.channels.begin());
  EXPECT_THAT(Refusal(offer), HasSubstr("/dev/stdin"));
  offer = Full();
  std::swap(offer.channels[0], offer.channels[1]);
  EXPECT_THAT(Refusal(offer), HasSubstr("order"));
  offer = Full();
  offer.channels[3].alias = "/dev/stdout";
  EXPECT_THAT(Refusal(offer), HasSubstr("two channels"));
  offer = Full();
  offer.channels[1].limits.gets = 1;
  offer.channels[1].limits.get_size = 1;
  EXPECT_THAT(Refusal(offer), HasSubstr("does not fit"));
  offer = Full();
  offer.channels[0].path.container = "a/b";
  EXPECT_THAT(Refusal(offer), HasSubstr("no object's path"));
  offer = Full();
  offer.caller.token = "a\r\nX-Evil: 1";
  EXPECT_THAT(Refusal(offer), HasSubstr("token"));
  offer = Full();
  offer.sha256 = "short";
  EXPECT_THAT(Refusal(offer), HasSubstr("SHA-256"));
  offer = Full();
  offer.timeout = std::chrono::milliseconds(0);
  EXPECT_THAT(Refusal(offer), HasSubstr("timeout_ms"));
  offer = Full();
  offer.session = std::string(5000, 'x');
  EXPECT_THAT(Refusal(offer), HasSubstr("longer"));
}

TEST(Wire, RefusesWhatIsNone) {
  for (const char* json :
       {"", "[]", "{}", "null", "{\"slots\": -1, \"sessions\": 0}", "{\"slots\":"}) {
    EXPECT_FALSE(ParseHello(json).has_value()) << json;
    EXPECT_FALSE(ParseOffer(json).has_value()) << json;
    EXPECT_FALSE(ParseEndReport(json).has_value()) << json;
    EXPECT_FALSE(ParseFailure(json).has_value()) << json;
    EXPECT_FALSE(ParseStreamEnd(json).has_value()) << json;
    EXPECT_FALSE(ParseAccepted(json).has_value()) << json;
  }
}

}  // namespace
}  // namespace zerocloud::remote
