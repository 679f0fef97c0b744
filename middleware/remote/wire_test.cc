#include "middleware/remote/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "channels/channel_parse.h"
#include "middleware/job/job_limits.h"
#include "middleware/peer/frame.h"
#include "middleware/remote/wire_holds.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {
namespace {

using testing::ElementsAre;
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
  offer.channels.resize(6);
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
  set(4, "/dev/in/y", {1, 2, 0, 0}, Source::kHeld);
  offer.channels[4].size = 43;
  offer.channels[4].hold = std::string(32, '1');
  offer.channels[4].holder = "10.0.0.5:8090";
  offer.channels[4].sha256 = std::string(64, 'c');
  set(5, "/dev/out/z", {0, 0, 1, 2}, Source::kHold);
  offer.channels[5].hold = std::string(32, '2');
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
  end.digests = {"", std::string(64, 'd')};
  const std::string json = Encode(end);
  const Result<EndReport> parsed = ParseEndReport(json);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), json);
  EXPECT_EQ(parsed->report.exit_code, -5);
  EXPECT_EQ(parsed->report.guest_pc, 0xffffffffffffffff);
  EXPECT_EQ(parsed->stderr_tail, end.stderr_tail);
  EXPECT_TRUE(parsed->report.channels[1].hit_put_limit);
  EXPECT_THAT(parsed->digests, ElementsAre("", std::string(64, 'd')));
}

TEST(Wire, CarriesStreamsOfGangsOnly) {
  Offer offer = Full();
  offer.is_of_gang = true;
  OfferedChannel& channel = offer.channels.emplace_back();
  channel.alias = "/dev/out/zz";
  channel.limits = {0, 0, 1, 1};
  channel.source = Source::kWrite;
  channel.stream = NewId();
  channel.peer = "10.0.0.1:8090";
  const Offer again = ParseOffer(Encode(offer)).value();
  EXPECT_TRUE(again.is_of_gang);
  EXPECT_EQ(again.channels.back().source, Source::kWrite);
  EXPECT_EQ(again.channels.back().stream, channel.stream);
  EXPECT_EQ(again.channels.back().peer, channel.peer);
  offer.is_of_gang = false;
  EXPECT_FALSE(ParseOffer(Encode(offer)).has_value());

  const std::string id = NewId();
  EXPECT_EQ(ParseStreamOrder(Encode(StreamOrder{id})).value().stream, id);
  const Credit credit = ParseCredit(Encode(Credit{5, true})).value();
  EXPECT_EQ(credit.bytes, 5U);
  EXPECT_TRUE(credit.is_complete);
  EXPECT_FALSE(ParseCredit(Encode(Credit{kMostCredit + 1, false})).has_value());
  EXPECT_TRUE(ParseFailure(Encode(Failure{{}, {}, {}, true})).value().is_busy);
}

TEST(Wire, CarriesTheRest) {
  const Hello node{.slots = 3,
                   .sessions = 4,
                   .time = 5,
                   .program_bytes = 6,
                   .memory_bytes = 7,
                   .timeout_seconds = 8};
  EXPECT_EQ(ParseHello(Encode(node)).value(), node);
  const Hello named{.proxy = NewId()};
  EXPECT_EQ(ParseHello(Encode(named)).value(), named);
  EXPECT_TRUE(ParseAccepted(Encode(Accepted{true})).value().needs_program);
  const auto end = ParseStreamEnd(Encode(StreamEnd{kProgramChannel, 7, std::string(64, 'c')}));
  EXPECT_EQ(end.value().size, 7U);
  const auto failure = ParseFailure(Encode(Failure{{ErrorCode::kNotFound, "no"}, "/dev/stdin"}));
  EXPECT_EQ(failure.value().error, (Error{ErrorCode::kNotFound, "no"}));
  EXPECT_EQ(failure.value().alias, "/dev/stdin");
}

TEST(Wire, CarriesWhatIsSaidOfHolds) {
  const std::string id = NewId();
  const Failure lost{{ErrorCode::kUnavailable, "no"}, {}, {id, NewId()}};
  EXPECT_EQ(ParseFailure(Encode(lost)).value().lost, lost.lost);
  EXPECT_THAT(ParseHoldList(Encode(HoldList{{id}})).value().holds, ElementsAre(id));
  EXPECT_EQ(ParseFetchOrder(Encode(FetchOrder{id})).value().hold, id);
  const PutOrder order{id,
                       {.account = "AUTH_a", .user = "a:b", .token = "t", .trace = "zc-1"},
                       {{"AUTH_b", "c", "o/\xff"}, "text/\xe9", {{"Made-By", "\xfc"}}}};
  const std::string json = Encode(order);
  const Result<PutOrder> parsed = ParsePutOrder(json);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(Encode(*parsed), json);
  EXPECT_EQ(parsed->object.path.account, "AUTH_b");
  EXPECT_EQ(parsed->caller.account, "AUTH_a");
  const Stored stored{
      {.size = 5, .etag = "e", .content_type = "t", .last_modified = "1.2", .metadata = {}}};
  EXPECT_EQ(Encode(ParseStored(Encode(stored)).value()), Encode(stored));
}

TEST(Wire, RefusesOrdersThatCannotBe) {
  EXPECT_FALSE(ParseFetchOrder(R"({"hold": "short"})").has_value());
  EXPECT_FALSE(ParseHoldList(R"({"holds": [1]})").has_value());
  const PutOrder good{NewId(),
                      {.account = "AUTH_a", .user = "", .token = "t"},
                      {{"AUTH_a", "c", "o"}, "text/plain", {{"A", "b"}}}};
  EXPECT_TRUE(ParsePutOrder(Encode(good)).has_value());
  PutOrder order = good;
  order.object.content_type = "a\r\nX-Evil: 1";
  EXPECT_FALSE(ParsePutOrder(Encode(order)).has_value());
  order = good;
  order.object.metadata = {{"A", "b\nX-Evil: 1"}};
  EXPECT_FALSE(ParsePutOrder(Encode(order)).has_value());
  order = good;
  order.object.metadata = {{"A:b", "c"}};
  EXPECT_FALSE(ParsePutOrder(Encode(order)).has_value());
  order = good;
  order.object.path.container = "a/b";
  EXPECT_FALSE(ParsePutOrder(Encode(order)).has_value());
  order = good;
  order.caller.token = "t\n";
  EXPECT_FALSE(ParsePutOrder(Encode(order)).has_value());
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
  offer.channels[4].hold = std::string(32, 'x');
  EXPECT_THAT(Refusal(offer), HasSubstr("no id"));
  offer = Full();
  offer.channels[5].limits.gets = offer.channels[5].limits.get_size = 1;
  EXPECT_THAT(Refusal(offer), HasSubstr("does not fit"));
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
    EXPECT_FALSE(ParseHoldList(json).has_value()) << json;
    EXPECT_FALSE(ParseFetchOrder(json).has_value()) << json;
    EXPECT_FALSE(ParsePutOrder(json).has_value()) << json;
    EXPECT_FALSE(ParseStored(json).has_value()) << json;
  }
}

template <typename T>
Error ErrorOf(const Result<T>& result) {
  return result ? Error{} : result.error();
}

TEST(Wire, RefusesMoreValuesThanAPayloadCanSay) {
  // Each kind takes what it is sent, with nonsense beside it, but not without end.
  const auto with = [](std::string json, std::size_t values) {
    json.pop_back();
    json += R"(,"x":[0)";
    for (std::size_t i = 1; i < values; ++i) json += ",0";
    return json + "]}";
  };
  const std::string hello = Encode(Hello{});
  EXPECT_TRUE(ParseHello(with(hello, 10)).has_value());
  EXPECT_EQ(ErrorOf(ParseHello(with(hello, 64))),
            (Error{ErrorCode::kLimitExceeded, "a document of more than 64 values"}));
  const std::string offer = Encode(Full());
  EXPECT_TRUE(ParseOffer(with(offer, 1000)).has_value());
  EXPECT_EQ(ErrorOf(ParseOffer(with(offer, 500'000))).code, ErrorCode::kLimitExceeded);
  const std::string failure = Encode(Failure{});
  EXPECT_TRUE(ParseFailure(with(failure, 1000)).has_value());
  EXPECT_FALSE(ParseFailure(with(failure, 20'000)).has_value());
  EXPECT_FALSE(ParseHoldList(with(Encode(HoldList{}), 20'000)).has_value());
  EXPECT_FALSE(ParseEndReport(with(Encode(EndReport{}), 200'000)).has_value());
}

TEST(Wire, TakesTheLargestOfEachKind) {
  const std::string bytes = "\xff";  // written as {"hex": "ff"}
  Offer offer;
  offer.session = bytes;
  offer.caller = {.account = bytes, .user = bytes, .token = bytes, .trace = bytes};
  offer.sha256 = std::string(64, 'b');
  offer.timeout = std::chrono::milliseconds(1);
  EndReport end;
  end.why_not_local = end.stderr_tail = bytes;
  Failure failure;
  for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
    offer.channels.push_back({.alias = alias, .limits = {1, 1, 0, 0}});
  }
  for (std::size_t i = 0; i < channels::kMaxChannels - 3; ++i) {
    offer.channels.push_back(
        {.alias = "/dev/in/" + std::to_string(10'000 + i), .limits = {1, 1, 0, 0}});
  }
  for (OfferedChannel& channel : offer.channels) {
    channel.source = Source::kObject;
    channel.path = {"a", "c", bytes};
    channel.listed = store::ObjectInfo{
        .size = 1, .etag = bytes, .content_type = bytes, .last_modified = bytes, .metadata = {}};
    runtime::ChannelUsage& usage = end.report.channels.emplace_back();
    usage.alias = channel.alias;
    end.digests.emplace_back(64, 'd');
    failure.lost.emplace_back(32, '1');
  }
  EXPECT_TRUE(ParseOffer(Encode(offer)).has_value());
  EXPECT_TRUE(ParseEndReport(Encode(end)).has_value());
  EXPECT_TRUE(ParseFailure(Encode(failure)).has_value());
  EXPECT_TRUE(
      ParseHoldList(Encode(HoldList{std::vector(kMostIds, std::string(32, '1'))})).has_value());
}

TEST(Wire, CarriesTheLargestLimitsThatMayBeConfigured) {
  Offer offer = Full();
  EndReport end;
  for (const job::LimitDescription& limit : job::DescribeLimits()) {
    if (limit.name == "timeout_seconds") offer.timeout = std::chrono::seconds(limit.maximum);
    if (limit.name == "cpu_seconds") offer.cpu_limit = std::chrono::seconds(limit.maximum);
    if (limit.name == "nvram_bytes") offer.nvram_bytes = limit.maximum;
    if (limit.name != "stderr_tail_bytes") continue;
    offer.stderr_tail_bytes = limit.maximum;
    end.stderr_tail = std::string(limit.maximum, '\x01');  // what JSON writes longest
  }
  // A session is seen to end a little later than it should have.
  end.report.wall_time = offer.timeout + std::chrono::minutes(1);
  end.report.user_time = offer.cpu_limit + std::chrono::minutes(1);
  const Result<Offer> parsed = ParseOffer(Encode(offer));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->timeout, offer.timeout);
  const std::string report = Encode(end);
  EXPECT_LE(report.size(), peer::MaxPayloadOf(peer::FrameKind::kReport) / 2);
  EXPECT_EQ(ErrorOf(ParseEndReport(report)), Error{});
}

}  // namespace
}  // namespace zerocloud::remote
