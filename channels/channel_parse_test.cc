#include "channels/channel_parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace zerocloud::channels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ChannelSpec Spec(std::string alias) {
  return {.sources = {"/dev/null"}, .alias = std::move(alias), .limits = {1, 1, 0, 0}};
}
std::vector<ChannelSpec> StandardChannels() {
  return {Spec("/dev/stderr"), Spec("/dev/stdout"), Spec("/dev/stdin")};
}

TEST(ChannelParse, ReadsAllEightFields) {
  const auto spec = ParseChannel(" /srv/in/book.txt , /dev/stdin, 1, 1, 0x10, 010, 7, 0x40000000");
  ASSERT_TRUE(spec.has_value()) << spec.error().error.message;
  EXPECT_EQ(*spec, (ChannelSpec{.sources = {"/srv/in/book.txt"},
                                .alias = "/dev/stdin",
                                .type = AccessType::kRandomGetSequentialPut,
                                .wants_digest = true,
                                .limits = {16, 8, 7, 0x40000000}}));
}

TEST(ChannelParse, ReadsSeveralSourcesAndNetworkSources) {
  const auto spec = ParseChannel("tcp:1:; TCP:127.0.0.1:8080 ;/a, x, 0, 0, 1, 1, 0, 0");
  ASSERT_TRUE(spec.has_value()) << spec.error().error.message;
  EXPECT_THAT(spec->sources, ElementsAre("tcp:1:", "TCP:127.0.0.1:8080", "/a"));
}

TEST(ChannelParse, PathMayHoldAColon) {
  EXPECT_TRUE(ParseChannel("/srv/a:b, x, 0, 0, 1, 1, 0, 0").has_value());
}

struct BadLine {
  const char* value;
  HostStatus status;
  const char* message;
};

TEST(ChannelParse, RefusesWithTheFieldAndTheStatus) {
  const BadLine kLines[] = {
      {"", HostStatus::kManifest, "1 fields instead of the 8"},
      {"/a, x, 0, 0, 1, 1, 0", HostStatus::kManifest, "7 fields instead of the 8"},
      {"/a, x, 0, 0, 1, 1, 0, 0, 0", HostStatus::kManifest, "9 fields instead of the 8"},
      {"a/b, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "'a/b' is not an absolute path"},
      {", x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "a source is empty"},
      {"/a;, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "a source is empty"},
      {"ftp:1:2, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "neither an absolute path nor"},
      {"udp:127.0.0.1:80, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "the protocol udp"},
      {"tcp:localhost:80, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "'localhost' is neither"},
      {"tcp:1.2.3.256:80, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "'1.2.3.256' is neither"},
      {"tcp:1:65536, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "'65536' is not a port"},
      {"tcp:1, x, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "not of the form tcp:host:port"},
      {"/a, , 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "alias '' is empty"},
      {"/a, a b, 0, 0, 1, 1, 0, 0", HostStatus::kManifest, "a blank or control character"},
      {"/a, x, 4, 0, 1, 1, 0, 0", HostStatus::kManifest, "x: type 4 is not one of 0, 1, 2, 3"},
      {"/a, x, -1, 0, 1, 1, 0, 0", HostStatus::kManifest, "x: type -1 is not"},
      {"/a, x, 0, 2, 1, 1, 0, 0", HostStatus::kManifest, "x: etag 2 is neither 0 nor 1"},
      {"/a, x, 0, 0, 1y, 1, 0, 0", HostStatus::kManifest, "x: gets '1y' is not a 64-bit integer"},
      {"/a, x, 0, 0, 1, , 0, 0", HostStatus::kManifest, "x: get_size '' is not"},
      {"/a, x, 0, 0, 1, 1, 0, 9223372036854775808", HostStatus::kManifest, "put_size '9223"},
      {"/a, x, 0, 0, 1, 1, -1, 0", HostStatus::kManifest, "x: puts -1 is negative"},
      {"/a, x, 0, 0, 0, 0, 0, 0", HostStatus::kUsage, "put_size: the channel is neither readable"},
      {"/a, x, 0, 0, 1, 0, 0, 1", HostStatus::kUsage, "put_size: the channel is neither readable"},
  };
  for (const BadLine& line : kLines) {
    const auto spec = ParseChannel(line.value);
    ASSERT_FALSE(spec.has_value()) << line.value;
    EXPECT_EQ(spec.error().status, line.status) << line.value;
    EXPECT_THAT(spec.error().error.message, HasSubstr(line.message)) << line.value;
  }
}

TEST(ChannelParse, RefusesMoreSourcesThanTheLimit) {
  std::string sources = "/a";
  for (std::size_t i = 1; i < kMaxSources; ++i) sources += ";/a";
  EXPECT_TRUE(ParseChannel(sources + ", x, 0, 0, 1, 1, 0, 0").has_value());
  EXPECT_FALSE(ParseChannel(sources + ";/a, x, 0, 0, 1, 1, 0, 0").has_value());
}

TEST(ChannelParse, IntegersHaveABasePrefixAndNothingElse) {
  EXPECT_EQ(ParseInteger("0"), 0);
  EXPECT_EQ(ParseInteger("-1"), -1);
  EXPECT_EQ(ParseInteger("+7"), 7);
  EXPECT_EQ(ParseInteger("0x7fffffffffffffff"), INT64_MAX);
  EXPECT_EQ(ParseInteger("-0x8000000000000000"), INT64_MIN);
  EXPECT_EQ(ParseInteger("0777"), 0777);
  for (const char* text : {"", "-", "0x", "0x-1", "--1", "+-1", "08", "1 ", " 1", "1.0", "0b1",
                           "-0x8000000000000001"}) {
    EXPECT_EQ(ParseInteger(text), std::nullopt) << text;
  }
}

TEST(ChannelParse, AcceptsTheThreeStandardChannels) {
  EXPECT_TRUE(ValidateChannels(StandardChannels()).has_value());
}

TEST(ChannelParse, RefusesAMissingStandardChannel) {
  for (std::size_t i = 0; i < 3; ++i) {
    auto channels = StandardChannels();
    channels[i].alias = "/dev/other";
    const auto valid = ValidateChannels(channels);
    ASSERT_FALSE(valid.has_value());
    EXPECT_EQ(valid.error().status, HostStatus::kManifest);
    EXPECT_THAT(valid.error().error.message, HasSubstr(std::string(StandardChannels()[i].alias)));
  }
}

TEST(ChannelParse, RefusesAnAliasTwice) {
  auto channels = StandardChannels();
  channels.push_back(Spec("/dev/stdin"));
  const auto valid = ValidateChannels(channels);
  ASSERT_FALSE(valid.has_value());
  EXPECT_EQ(valid.error().status, HostStatus::kManifest);
  EXPECT_THAT(valid.error().error.message, HasSubstr("/dev/stdin is the alias of two channels"));
}

TEST(ChannelParse, RefusesMoreChannelsThanTheLimit) {
  auto channels = StandardChannels();
  while (channels.size() < kMaxChannels) {
    channels.push_back(Spec("/dev/" + std::to_string(channels.size())));
  }
  EXPECT_TRUE(ValidateChannels(channels).has_value());
  channels.push_back(Spec("/dev/last"));
  const auto valid = ValidateChannels(channels);
  ASSERT_FALSE(valid.has_value());
  EXPECT_EQ(valid.error().status, HostStatus::kTooManyChannels);
}

TEST(ChannelParse, HandlesAreStandardChannelsFirstThenByteOrder) {
  std::vector<ChannelSpec> channels;
  channels.reserve(7);
  for (const char* alias : {"/dev/\xc3\xa9", "/dev/b", "/dev/stderr", "/dev/B", "/dev/stdin",
                            "/dev/a", "/dev/stdout"}) {
    channels.push_back(Spec(alias));
  }
  SortForHandles(channels);
  std::vector<std::string> aliases;
  aliases.reserve(channels.size());
  for (const ChannelSpec& channel : channels) aliases.push_back(channel.alias);
  EXPECT_THAT(aliases, ElementsAre("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/B", "/dev/a",
                                   "/dev/b", "/dev/\xc3\xa9"));
}

TEST(ChannelParse, NetworkAddressesAreHostsOrNodes) {
  EXPECT_EQ(ParseNetworkSource("tcp:127.0.0.1:8080"),
            (NetworkAddress{.ip = 0x7f000001, .port = 8080}));
  EXPECT_EQ(ParseNetworkSource("TCP:0x7f000001:80"),
            (NetworkAddress{.ip = 0x7f000001, .port = 80}));
  EXPECT_EQ(ParseNetworkSource("tcp:3:"), (NetworkAddress{.node = 3}));
  EXPECT_EQ(ParseNetworkSource("tcp:3:0"), (NetworkAddress{.node = 3}));
  EXPECT_FALSE(ParseNetworkSource("tcp:1.2.3.4:").has_value());
  EXPECT_FALSE(ParseNetworkSource("tcp:0:80").has_value());
  EXPECT_FALSE(ParseNetworkSource("/dev/null").has_value());
  EXPECT_EQ(ParseNameServer("udp:1.2.3.4:5"), (NetworkAddress{.ip = 0x01020304, .port = 5}));
  EXPECT_FALSE(ParseNameServer("tcp:1.2.3.4:5").has_value());
  EXPECT_FALSE(ParseNameServer("udp:7:").has_value());
}

}  // namespace
}  // namespace zerocloud::channels
