// Against an imitation of the cgroup file system. Where no directory is delegated, as on the
// machines that this was made on, nothing else has been run.
#include "sandbox/runtime/control_group.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace zerocloud::runtime {
namespace {

class FakeTree : public GroupTree {
 public:
  Result<void> MakeDirectory(const std::filesystem::path& directory) override {
    if (!may_make) return Fail(ErrorCode::kUnavailable, "no");
    directories.insert(directory);
    for (const char* name : {"pids.max", "memory.max", "memory.swap.max", "cgroup.procs"}) {
      files[directory / name] = "max\n";
    }
    if (!has_swap) files.erase(directory / "memory.swap.max");
    return {};
  }
  void RemoveDirectory(const std::filesystem::path& directory) override {
    directories.erase(directory);
  }
  Result<void> Write(const std::filesystem::path& file, const std::string& value) override {
    if (!files.contains(file)) return Fail(ErrorCode::kUnavailable, "no " + file.string());
    files[file] = value;
    return {};
  }
  std::optional<std::string> Read(const std::filesystem::path& file) override {
    const auto found = files.find(file);
    return found != files.end() ? std::optional(found->second) : std::nullopt;
  }

  bool may_make = true, has_swap = true;
  std::map<std::filesystem::path, std::string> files = {
      {"/d/cgroup.subtree_control", "cpu memory pids\n"}};
  std::set<std::filesystem::path> directories;
};

TEST(ControlGroup, LimitsMemoryAndProcessesAndHoldsTheSession) {
  FakeTree tree;
  {
    const auto group = ControlGroup::Make("/d", 5000, tree);
    ASSERT_TRUE(group) << group.error().message;
    const auto directory = (*group)->directory();
    EXPECT_EQ(tree.directories, std::set{directory});
    EXPECT_EQ(tree.files[directory / "memory.max"], "5000");
    EXPECT_EQ(tree.files[directory / "memory.swap.max"], "0");
    EXPECT_EQ(tree.files[directory / "pids.max"], "1");
    ASSERT_TRUE((*group)->Add(77));
    EXPECT_EQ(tree.files[directory / "cgroup.procs"], "77");
    const auto another = ControlGroup::Make("/d", 0, tree);
    ASSERT_TRUE(another);
    EXPECT_NE((*another)->directory(), directory);
    EXPECT_EQ(tree.files[(*another)->directory() / "memory.max"], "max\n");
  }
  EXPECT_TRUE(tree.directories.empty()) << "left behind";
}

TEST(ControlGroup, ReadsWhatTheKernelCounted) {
  FakeTree tree;
  const auto group = ControlGroup::Make("/d", 5000, tree);
  ASSERT_TRUE(group);
  EXPECT_FALSE((*group)->PeakMemory());
  EXPECT_FALSE((*group)->WasOutOfMemory());
  tree.files[(*group)->directory() / "memory.peak"] = "4096\n";
  tree.files[(*group)->directory() / "memory.events"] = "low 0\noom 1\noom_kill 0\n";
  EXPECT_EQ((*group)->PeakMemory(), 4096U);
  EXPECT_FALSE((*group)->WasOutOfMemory());
  tree.files[(*group)->directory() / "memory.events"] = "low 0\noom 1\noom_kill 1\n";
  EXPECT_TRUE((*group)->WasOutOfMemory());
}

TEST(ControlGroup, IsRefusedWhereNothingIsDelegated) {
  FakeTree tree;
  tree.files["/d/cgroup.subtree_control"] = "cpu memory_not pids\n";
  const auto group = ControlGroup::Make("/d", 1, tree);
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(group.error().message.find("no controller memory"), std::string::npos);
  EXPECT_FALSE(ControlGroup::Make("/elsewhere", 1, tree));
  tree.files["/d/cgroup.subtree_control"] = "memory pids";
  tree.may_make = false;
  EXPECT_FALSE(ControlGroup::Make("/d", 1, tree));
  EXPECT_FALSE(ControlGroup::Make("/nonexistent", 1)) << "of the kernel";
}

TEST(ControlGroup, NeedsNoAccountOfSwap) {
  FakeTree tree;
  tree.has_swap = false;
  EXPECT_TRUE(ControlGroup::Make("/d", 1, tree));
}

}  // namespace
}  // namespace zerocloud::runtime
