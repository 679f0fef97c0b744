#include "sandbox/runtime/daemon_protocol.h"

#include <gtest/gtest.h>

namespace zerocloud::runtime {
namespace {

TEST(DaemonProtocol, ReadsWhatFrameMakes) {
  const std::string request = Frame("Version = 20130611\n");
  EXPECT_EQ(request.substr(0, 8), "0x000013");
  RequestReader reader;
  for (const char c : request) {
    EXPECT_FALSE(reader.is_complete());
    ASSERT_TRUE(reader.Take({&c, 1}));
  }
  EXPECT_TRUE(reader.is_complete());
  EXPECT_EQ(reader.manifest(), "Version = 20130611\n");
}

TEST(DaemonProtocol, DropsWhatFollowsTheRequest) {
  RequestReader reader;
  ASSERT_TRUE(reader.Take("0x000002abcdef"));
  EXPECT_TRUE(reader.is_complete());
  EXPECT_EQ(reader.manifest(), "ab");
}

TEST(DaemonProtocol, RefusesWhatIsNoLength) {
  for (const char* header : {"00000002", "0x00000g", "0x-00001", "0x 00001", "GET / HT", "0X000002",
                             "0x+00001", "\0\0\0\0\0\0\0\0"}) {
    RequestReader reader;
    EXPECT_FALSE(reader.Take(std::string_view(header, 8))) << header;
  }
}

// ZeroVM's daemon believed any length and read it into 64 KiB.
TEST(DaemonProtocol, RefusesLengthsBeyondAManifest) {
  for (const char* header : {"0xffffff", "0x080001", "0x000000"}) {
    RequestReader reader;
    EXPECT_FALSE(reader.Take(header)) << header;
    EXPECT_TRUE(reader.manifest().empty());
  }
  RequestReader reader;
  EXPECT_TRUE(reader.Take("0x080000"));
}

TEST(DaemonProtocol, CutsAnswersThatNoLengthCanSay) {
  const std::string frame = Frame(std::string(kMaxFrameSize + 5, 'x'));
  EXPECT_EQ(frame.size(), kFrameHeaderSize + kMaxFrameSize);
  EXPECT_EQ(frame.substr(0, 8), "0xffffff");
}

}  // namespace
}  // namespace zerocloud::runtime
