// A control group (cgroup v2) of one session: limits that the kernel itself enforces, where the
// operator has delegated a directory of the cgroup file system to this user. The directory must
// hold no process of its own and hand on the controllers `memory` and `pids` (its
// cgroup.subtree_control). Source of the files' meaning: the kernel's admin-guide/cgroup-v2.
//
// A session enters its group when it has been started, so what it used in its first moments is
// charged to the zygote's group. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "channels/base/result.h"

namespace zerocloud::runtime {

// The cgroup file system; tests have one of their own. Paths are absolute.
class GroupTree {
 public:
  virtual ~GroupTree() = default;
  virtual Result<void> MakeDirectory(const std::filesystem::path& directory) = 0;
  virtual void RemoveDirectory(const std::filesystem::path& directory) = 0;
  // The files exist; each takes its value in one write.
  virtual Result<void> Write(const std::filesystem::path& file, const std::string& value) = 0;
  // Nothing if there is no such file.
  virtual std::optional<std::string> Read(const std::filesystem::path& file) = 0;

  static GroupTree& OfTheKernel();
};

class ControlGroup {
 public:
  // Makes a group under `delegated`. `memory_limit`: bytes, without swap; 0: none. One process.
  // kUnavailable: the directory is not delegated to us, or not with these controllers.
  static Result<std::unique_ptr<ControlGroup>> Make(const std::filesystem::path& delegated,
                                                    std::uint64_t memory_limit,
                                                    GroupTree& tree = GroupTree::OfTheKernel());
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;
  // Removes the group; its process must have been reaped.
  ~ControlGroup();

  Result<void> Add(pid_t pid);
  // Bytes at most, kernel memory included; nothing if the kernel does not tell (before 5.19).
  [[nodiscard]] std::optional<std::uint64_t> PeakMemory() const;
  // Whether the kernel killed the session for going over its memory limit.
  [[nodiscard]] bool WasOutOfMemory() const;

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  ControlGroup(GroupTree& tree, std::filesystem::path directory)
      : tree_(tree), directory_(std::move(directory)) {}
  GroupTree& tree_;
  std::filesystem::path directory_;
};

}  // namespace zerocloud::runtime
