#include "sandbox/runtime/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "channels/channel_parse.h"

namespace zerocloud::runtime {
namespace {

using channels::HostStatus;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kChannels =
    "Channel = /in, /dev/stdin, 0, 0, 32, 32, 0, 0\n"
    "Channel = /out, /dev/stdout, 0, 1, 0, 0, 32, 32\n"
    "Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 32, 32\n";
constexpr const char* kHead =
    "Version = 20130611\n"
    "Program = a.zvm\n"
    "Memory = 67108864, 1\n"
    "Timeout = 30\n";

std::string Good() { return std::string(kHead) + kChannels; }

// Good() with the line that begins with `key` replaced; an empty `line` takes it out.
std::string With(const std::string& key, const std::string& line) {
  std::string text = Good();
  const std::size_t begin = text.find(key);
  text.replace(begin, text.find('\n', begin) + 1 - begin, line.empty() ? "" : line + "\n");
  return text;
}

HostStatus StatusOf(const std::string& text) {
  const auto manifest = ParseManifest(text);
  return manifest ? HostStatus::kOk : manifest.error().status;
}

std::string MessageOf(const std::string& text) {
  const auto manifest = ParseManifest(text);
  return manifest ? "accepted" : manifest.error().error.message;
}

TEST(Manifest, ReadsEveryKey) {
  const auto manifest = ParseManifest(Good() +
                                      "Node = 0x2\nNameServer = udp:127.0.0.1:54321\n"
                                      "Job = /tmp/job\nEtag = abc\n");
  ASSERT_TRUE(manifest.has_value()) << manifest.error().error.message;
  EXPECT_EQ(manifest->program, "a.zvm");
  EXPECT_EQ(manifest->memory_size, 67108864U);
  EXPECT_TRUE(manifest->wants_memory_digest);
  EXPECT_EQ(manifest->timeout_seconds, 30);
  EXPECT_EQ(manifest->node, 2);
  EXPECT_EQ(manifest->name_server, (channels::NetworkAddress{.ip = 0x7f000001, .port = 54321}));
  EXPECT_EQ(manifest->job, "/tmp/job");
  EXPECT_EQ(manifest->etag, "abc");
  ASSERT_EQ(manifest->channels.size(), 3U);
  EXPECT_TRUE(manifest->channels[1].wants_digest);
  EXPECT_TRUE(manifest->warnings.empty());
}

TEST(Manifest, OrderSpacesAndLineEndsDoNotMatter) {
  const auto manifest = ParseManifest(
      "\r\n\t Channel=/dev/null,/dev/stderr,0,0,0,0,1,1\r\n"
      "Timeout=1\r\n  Channel\t=\t/b , /dev/b,3,0,1,1,0,0\r\n"
      "Memory=33554432,0\rChannel ignored\r\n"  // CR alone ends no line: this Memory is malformed
  );
  EXPECT_THAT(manifest.error().error.message, HasSubstr("MANIFEST 5: Memory: tag"));

  std::string reversed;
  std::string text = Good() + "Channel = /z, /dev/a, 3, 0, 1, 1, 0, 0";
  while (!text.empty()) {
    const std::size_t end = text.rfind('\n');
    reversed += "  " + text.substr(end == std::string::npos ? 0 : end + 1) + " \r\n";
    text.resize(end == std::string::npos ? 0 : end);
  }
  const auto sorted = ParseManifest(reversed);
  ASSERT_TRUE(sorted.has_value()) << sorted.error().error.message;
  std::vector<std::string> aliases;
  for (const auto& channel : sorted->channels) aliases.push_back(channel.alias);
  EXPECT_THAT(aliases, testing::ElementsAre("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/a"));
}

struct BadCase {
  const char* name;
  std::string text;
  HostStatus status;
  const char* message;
};

TEST(Manifest, RefusesWithLineKeyAndStatus) {
  const HostStatus kManifest = HostStatus::kManifest;
  const BadCase kCases[] = {
      {"empty file", "", HostStatus::kIo, "MANIFEST: the manifest is empty"},
      {"nothing but comments", "=====\ntext\n", kManifest,
       "MANIFEST: not specified: Version, Program, Memory, Timeout, Channel"},
      {"no version", With("Version", ""), kManifest, "MANIFEST: not specified: Version"},
      {"version", With("Version", "Version = 20140509"), kManifest,
       "MANIFEST 1: Version: '20140509'"},
      {"nexe_skipped", With("Program", ""), kManifest, "not specified: Program"},
      {"empty_value", With("Program", "Program ="), kManifest,
       "MANIFEST 2: Program: the key has no value"},
      {"memory missing", With("Memory", ""), kManifest, "not specified: Memory"},
      {"missed_memory_tag", With("Memory", "Memory = 67108864"), kManifest, "is not 'size, tag'"},
      {"invalid_memory_tag", With("Memory", "Memory = 67108864, 2"), kManifest, "tag '2'"},
      {"empty memory tag", With("Memory", "Memory = 67108864,"), kManifest, "tag ''"},
      {"memory number", With("Memory", "Memory = 64M, 0"), kManifest, "size '64M'"},
      {"memory tokens", With("Memory", "Memory = 67108864, 0, 0"), kManifest, "tag '0, 0'"},
      {"memory 0", With("Memory", "Memory = 0, 0"), HostStatus::kMemory,
       "MANIFEST 3: Memory: size 0"},
      {"memory negative", With("Memory", "Memory = -1, 0"), HostStatus::kMemory, "size -1"},
      {"memory above 4 GiB", With("Memory", "Memory = 0x100000001, 0"), HostStatus::kMemory,
       "at most 4294967296"},
      {"no more than the stack", With("Memory", "Memory = 0x1000000, 0"), HostStatus::kMemory,
       "16777216 (the stack)"},
      {"timeout missing", With("Timeout", ""), kManifest, "not specified: Timeout"},
      {"invalid_timeout", With("Timeout", "Timeout = 0"), kManifest, "MANIFEST 4: Timeout: '0'"},
      {"negative_timeout", With("Timeout", "Timeout = -5"), kManifest, "'-5'"},
      {"timeout range", With("Timeout", "Timeout = 2147483648"), kManifest, "from 1 to 2147483647"},
      {"no_channels", kHead, kManifest, "not specified: Channel"},
      {"not_enough_std_channels", With("Channel = /in", ""), kManifest,
       "no channel has the alias /dev/stdin"},
      {"duplicated_channel_alias", Good() + "Channel = /x, /dev/stdin, 0, 0, 1, 1, 0, 0\n",
       kManifest,
       "MANIFEST 8: Channel: alias: /dev/stdin is the alias of two channels, first on line 5"},
      {"not_existing_channel_name", With("Channel = /in", "Channel = , /dev/stdin, 0,0,1,1,0,0"),
       kManifest, "MANIFEST 5: Channel: /dev/stdin: a source is empty"},
      {"invalid_channel_path", With("Channel = /in", "Channel = in, /dev/stdin, 0,0,1,1,0,0"),
       kManifest, "not an absolute path"},
      {"invalid_channel_access_type",
       With("Channel = /in", "Channel = /in, /dev/stdin, 4,0,1,1,0,0"), kManifest, "type 4"},
      {"nil_channel", With("Channel = /in", "Channel = /in, /dev/stdin, 0,0,0,0,0,0"),
       HostStatus::kUsage, "neither readable"},
      {"invalid_limits", With("Channel = /in", "Channel = /in, /dev/stdin, 0,0,-1,1,0,0"),
       kManifest, "MANIFEST 5: Channel: /dev/stdin: gets -1 is negative"},
      {"too_few_channel_attributes", With("Channel = /in", "Channel = /in, /dev/stdin, 0,0,1,1,0"),
       kManifest, "7 fields"},
      {"too_much_channel_attributes",
       With("Channel = /in", "Channel = /in, /dev/stdin, 0,0,1,1,0,0,0"), kManifest, "9 fields"},
      {"duplicate key", Good() + "Timeout = 30\n", kManifest,
       "MANIFEST 8: duplicate Timeout, first on line 4"},
      {"invalid_node", Good() + "Node = 0\n", kManifest, "MANIFEST 8: Node: '0'"},
      {"node text", Good() + "Node = first\n", kManifest, "'first'"},
      {"name_server_missed_node", Good() + "NameServer = udp:127.0.0.1:80\n", kManifest,
       "MANIFEST 8: NameServer: the key Node must be there too"},
      {"node number without a name server", Good() + "Channel = tcp:2:, /dev/x, 0, 0, 1, 1, 0, 0\n",
       kManifest, "MANIFEST 8: Channel: source 'tcp:2:' is a node number"},
      {"address without a port", Good() + "Channel = tcp:1.2.3.4:, /dev/x, 0, 0, 1, 1, 0, 0\n",
       kManifest, "MANIFEST 8: Channel: /dev/x: source 'tcp:1.2.3.4:' has no port"},
      {"invalid_name_server_host", Good() + "Node = 1\nNameServer = udp:nohost:80\n", kManifest,
       "'udp:nohost:80' is not of the form udp:ip:port"},
      {"invalid_name_server_proto", Good() + "Node = 1\nNameServer = tcp:127.0.0.1:80\n", kManifest,
       "MANIFEST 9: NameServer"},
      {"invalid_name_server_type", Good() + "Node = 1\nNameServer = 127.0.0.1\n", kManifest,
       "udp:ip:port"},
      {"name server without port", Good() + "Node = 1\nNameServer = udp:127.0.0.1:\n", kManifest,
       "udp:ip:port"},
      {"long job", Good() + "Job = /" + std::string(kMaxJobSize, 'j') + "\n", kManifest,
       "the limit is 107"},
      {"NUL byte", Good() + std::string(1, '\0'), kManifest, "MANIFEST: a NUL byte"},
      {"too long", Good() + std::string(kMaxManifestSize, ' '), kManifest,
       "more than 524288 bytes"},
      {"too many lines", Good() + std::string(kMaxManifestLines, '\n'), kManifest,
       "more than 8192 lines"},
  };
  for (const BadCase& bad : kCases) {
    EXPECT_EQ(StatusOf(bad.text), bad.status) << bad.name;
    EXPECT_THAT(MessageOf(bad.text), StartsWith("MANIFEST")) << bad.name;
    EXPECT_THAT(MessageOf(bad.text), HasSubstr(bad.message)) << bad.name;
  }
}

TEST(Manifest, CheckFindsEveryMistake) {
  const ManifestCheck check = CheckManifest(
      "Version = 2\n"
      "Memory = 67108864\n"
      "Timeout = 0\n"
      "Tiemout = 1\n"
      "Channel = in, /dev/stdin, 0, 0, 1, 1, 0, 0\n"
      "Channel = /dev/null, /dev/stdout, 0, 0, 0, 0, 1, 1\n"
      "Channel = /dev/null, /dev/stdout, 0, 0, 0, 0, 1, 1\n");
  std::vector<std::size_t> lines;
  lines.reserve(check.errors.size());
  for (const auto& mistake : check.errors) lines.push_back(mistake.line);
  EXPECT_THAT(lines, testing::ElementsAre(1, 2, 3, 5, 7, 0));
  EXPECT_EQ(check.errors.back().error.error.message, "MANIFEST: not specified: Program");
  EXPECT_EQ(check.warnings,
            (std::vector<ManifestWarning>{{4, "ignored: there is no key 'Tiemout'"}}));
  EXPECT_TRUE(CheckManifest(Good()).errors.empty());
  EXPECT_FALSE(CheckManifest("").errors.empty());
}

TEST(Manifest, OptionalKeysWithoutEffectMayBeEmpty) {
  const auto manifest = ParseManifest(Good() + "Etag =\nJob = \n");
  ASSERT_TRUE(manifest.has_value()) << manifest.error().error.message;
  EXPECT_FALSE(manifest->etag.has_value());
  EXPECT_FALSE(manifest->job.has_value());
  EXPECT_EQ(manifest->warnings.size(), 2U);
}

TEST(Manifest, ChannelsKnowTheirLines) {
  const auto manifest = ParseManifest("\n" + Good());
  ASSERT_TRUE(manifest.has_value());
  EXPECT_EQ(manifest->channels[0].line, 6U);
  EXPECT_EQ(manifest->program_line, 3U);
  EXPECT_EQ(manifest->memory_line, 4U);
}

TEST(Manifest, AcceptsItsLimits) {
  EXPECT_EQ(StatusOf(Good() + "Job = " + std::string(kMaxJobSize, 'j') + "\n"), HostStatus::kOk);
  EXPECT_EQ(StatusOf(With("Timeout", "Timeout = 2147483647")), HostStatus::kOk);
  EXPECT_EQ(StatusOf(With("Memory", "Memory = 0x100000000, 0")), HostStatus::kOk);
  const std::string padding(kMaxManifestSize - Good().size(), ' ');
  EXPECT_EQ(StatusOf(Good() + padding), HostStatus::kOk);
}

TEST(Manifest, ItsLinesLimitItsChannels) {
  std::string text = kHead;
  text += "Channel=/a,/dev/stdin,0,0,1,1,0,0\n";
  for (std::size_t i = 0; i <= kMaxManifestLines; ++i) {
    text += "Channel=/a,c" + std::to_string(i) + ",0,0,1,1,0,0\n";
  }
  EXPECT_THAT(MessageOf(text), HasSubstr("more than 8192 lines"));
}

TEST(Manifest, WarnsAboutLinesThatLookLikeMistakes) {
  const auto manifest = ParseManifest(Good() +
                                      "=================\n"
                                      "a comment without a sign\n"
                                      "Tiemout = 5\n"
                                      "Timeout 5\n"
                                      "Etag = a = b\n"
                                      "\n");
  ASSERT_TRUE(manifest.has_value()) << manifest.error().error.message;
  EXPECT_EQ(manifest->warnings,
            (std::vector<ManifestWarning>{{10, "ignored: there is no key 'Tiemout'"},
                                          {11, "ignored: it has no '='"},
                                          {12, "ignored: it has more than one '='"}}));
  EXPECT_EQ(manifest->etag, std::nullopt);
}

TEST(Manifest, ReadinessIsZeroOrOne) {
  EXPECT_TRUE(ParseManifest(Good() + "Readiness = 1\n")->wants_readiness);
  EXPECT_FALSE(ParseManifest(Good() + "Readiness = 0\n")->wants_readiness);
  EXPECT_THAT(MessageOf(Good() + "Readiness = yes\n"), HasSubstr("neither 0 nor 1"));
}

TEST(Manifest, NamesTheChannelsToMap) {
  const std::string text = Good() +
                           "Channel = /a, /dev/a, 1, 0, 1, 1, 0, 0\n"
                           "Channel = /b, /dev/b, 1, 0, 1, 1, 0, 0\n";
  const auto manifest = ParseManifest(text + "Mapped = /dev/a , /dev/b\t immutable\n");
  ASSERT_TRUE(manifest.has_value()) << manifest.error().error.message;
  const std::vector<MappedAlias> expected = {{"/dev/a", false}, {"/dev/b", true}};
  EXPECT_EQ(manifest->mapped, expected);
  EXPECT_EQ(manifest->mapped_line, 10U);
  EXPECT_EQ(MessageOf(text + "Mapped = /dev/a, /dev/c\n"),
            "MANIFEST 10: Mapped: /dev/c is the alias of no channel");
  EXPECT_EQ(MessageOf(text + "Mapped = /dev/a, /dev/a immutable\n"),
            "MANIFEST 10: Mapped: /dev/a is there twice");
  EXPECT_THAT(MessageOf(text + "Mapped = /dev/a\nJob = /j\n"), HasSubstr("there is a Job"));
  EXPECT_EQ(MessageOf(text + "Job = /j\nReadiness = 1\n"),
            "MANIFEST 11: Readiness: there is a Job, so the guest may fork");
  for (const char* value : {",", "/dev/a,", "/dev/a mutable", "/dev/a immutable immutable"}) {
    EXPECT_THAT(MessageOf(Good() + "Mapped = " + value + "\n"), StartsWith("MANIFEST 8: Mapped: '"))
        << value;
  }
}

}  // namespace
}  // namespace zerocloud::runtime
