#include "middleware/swift/object_metadata.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using ::testing::HasSubstr;

constexpr store::Timestamp kNow{170'000'000'000'000};

class MetadataFile : public testing::Test {
 protected:
  void SetUp() override {
    if (!server_.HasAttributes()) GTEST_SKIP() << "no extended attributes here";
    server_.Write(file_, "body");
  }
  void Set(const std::string& name, std::string_view value) const {
    ASSERT_EQ(::setxattr(file_.c_str(), name.c_str(), value.data(), value.size(), 0), 0);
  }
  [[nodiscard]] Result<Metadata> Read() const {
    return ReadMetadata(UniqueFd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC)).get());
  }

  ObjectServer server_;
  const std::filesystem::path file_ = server_.root / "file";
};

TEST_F(MetadataFile, IsReadFromAllItsPieces) {
  Metadata metadata;
  for (int i = 0; i < 10; ++i) metadata["X-Object-Meta-" + std::to_string(i)] = "value";
  const std::string pickle = PickleOf(metadata);
  Set("user.swift.metadata", pickle.substr(0, 200));
  Set("user.swift.metadata1", pickle.substr(200));
  EXPECT_EQ(Read().value(), metadata);  // older Swift wrote no check sum
  Set("user.swift.metadata_checksum", Md5Hex(pickle));
  EXPECT_EQ(Read().value(), metadata);
}

TEST_F(MetadataFile, ThatIsMissingOrCutOrChangedIsRefused) {
  EXPECT_THAT(Read().error().message, HasSubstr("no attribute"));
  const std::string pickle = PickleOf({{"name", "/a/c/o"}});
  SetMetadata(file_, pickle);
  ASSERT_TRUE(Read().has_value());
  Set("user.swift.metadata", pickle.substr(0, pickle.size() - 1));
  EXPECT_THAT(Read().error().message, HasSubstr("checksum differs"));
  std::string changed = pickle;
  changed[changed.find("/a/c/o") + 1] = 'b';
  Set("user.swift.metadata", changed);
  EXPECT_THAT(Read().error().message, HasSubstr("checksum differs"));
  Set("user.swift.metadata_checksum", "");
  EXPECT_FALSE(Read().has_value());
}

TEST_F(MetadataFile, ThatIsNoPickleIsRefusedWhateverItsChecksum) {
  SetMetadata(file_, "cos\nsystem\n(S'true'\ntR.");
  EXPECT_THAT(Read().error().message, HasSubstr("no pickle that Swift writes"));
}

TEST(Plain, IsWhatNoPartOfSwiftChanges) {
  EXPECT_EQ(WhyNotPlain({{"name", "/a/c/o"},
                         {"X-Object-Meta-Crypto", "x"},
                         {"Content-Type", "x"},
                         {"Content-Encoding", "gzip"},
                         {"X-Delete-At", "1700000001"}},
                        kNow),
            "");
}

TEST(Plain, IsNotWhatSwiftsProxyPutsTogether) {
  const std::pair<const char*, const char*> cases[] = {
      {"X-Static-Large-Object", "True"},
      {"x-object-manifest", "c/seg"},
      {"X-Object-Sysmeta-Symlink-Target", "c/o"},
      {"X-Object-Sysmeta-Crypto-Body-Meta", "{}"},
      {"X-Object-Transient-Sysmeta-Crypto-Meta-X", "{}"},
      {"X-Object-Sysmeta-Versions-Symlink", "true"},
      {"X-Object-Sysmeta-Of-Some-Later-Swift", "x"},
      {"X-Delete-At", "1700000000"},
      {"X-Delete-At", "soon"},
  };
  for (const auto& [key, value] : cases) {
    EXPECT_NE(WhyNotPlain({{"name", "/a/c/o"}, {key, value}}, kNow), "") << key << value;
  }
}

}  // namespace
}  // namespace zerocloud::swift
