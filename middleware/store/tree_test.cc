#include "middleware/store/tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "middleware/store/testing/fixture.h"

namespace zerocloud::store {
namespace {

class Tree : public testing::Test {
 protected:
  void SetUp() override {
    root_.Reset(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY));
    std::filesystem::create_directories(directory_.path() / "a/b");
    std::ofstream(directory_.path() / "a/b/file") << "x";
    std::filesystem::create_directory_symlink("/etc", directory_.path() / "a/link");
    std::filesystem::create_symlink("b/file", directory_.path() / "a/filelink");
  }
  TemporaryDirectory directory_;
  UniqueFd root_;
};

TEST_F(Tree, BothWaysOfOpeningAgree) {
  const auto by_call = [&](const std::string& path) {
    return OpenBeneath(root_.get(), path, O_RDONLY).has_value();
  };
  const auto by_component = [&](const std::string& path) {
    return OpenBeneathByComponents(root_.get(), path, O_RDONLY, 0).has_value();
  };
  for (const char* path : {"a", "a/b", "a/b/file"}) {
    EXPECT_TRUE(by_call(path)) << path;
    EXPECT_TRUE(by_component(path)) << path;
  }
  for (const char* path : {"none", "a/none", "a/link", "a/link/passwd", "a/filelink", "..",
                           "a/../../x", "/etc/passwd", "a/b/file/x"}) {
    EXPECT_FALSE(by_call(path)) << path;
    EXPECT_FALSE(by_component(path)) << path;
  }
}

TEST_F(Tree, RemovingAFilePrunesEmptyFoldersOnly) {
  std::filesystem::create_directories(directory_.path() / "p/q/r");
  std::ofstream(directory_.path() / "p/q/r/1") << "x";
  std::ofstream(directory_.path() / "p/2") << "x";
  EXPECT_TRUE(RemoveFile(root_.get(), "p/q/r/1", Durability::kPower));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "p/q"));
  EXPECT_TRUE(std::filesystem::exists(directory_.path() / "p/2"));
  EXPECT_EQ(RemoveFile(root_.get(), "p/q/r/1", Durability::kPower).error().code,
            ErrorCode::kNotFound);
}

TEST_F(Tree, RemovingATreeLeavesWhatLinksPointTo) {
  EXPECT_TRUE(RemoveTree(root_.get(), "a"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "a"));
  EXPECT_TRUE(std::filesystem::exists("/etc/passwd"));
  EXPECT_TRUE(RemoveTree(root_.get(), "a"));
}

}  // namespace
}  // namespace zerocloud::store
