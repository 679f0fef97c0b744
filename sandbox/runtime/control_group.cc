#include "sandbox/runtime/control_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {
namespace {

std::unexpected<Error> Refusal(const std::string& what, int error) {
  return Fail(ErrorCode::kUnavailable,
              what + ": " + std::strerror(error));  // NOLINT(concurrency-mt-unsafe)
}

class KernelTree : public GroupTree {
 public:
  Result<void> MakeDirectory(const std::filesystem::path& directory) override {
    if (mkdir(directory.c_str(), 0755) == 0) return {};
    return Refusal("cannot make the control group " + directory.string(), errno);
  }
  void RemoveDirectory(const std::filesystem::path& directory) override {
    rmdir(directory.c_str());
  }
  Result<void> Write(const std::filesystem::path& file, const std::string& value) override {
    const UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.is_open() && write(fd.get(), value.data(), value.size()) >= 0) return {};
    return Refusal("cannot write " + value + " to " + file.string(), errno);
  }
  std::optional<std::string> Read(const std::filesystem::path& file) override {
    const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
    char text[4096];
    const ssize_t size = fd.is_open() ? read(fd.get(), text, sizeof text) : -1;
    if (size < 0) return std::nullopt;
    return std::string(text, static_cast<std::size_t>(size));
  }
};

bool HasWord(std::string_view text, std::string_view word) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
    if (text.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

GroupTree& GroupTree::OfTheKernel() {
  static KernelTree tree;
  return tree;
}

Result<std::unique_ptr<ControlGroup>> ControlGroup::Make(const std::filesystem::path& delegated,
                                                         std::uint64_t memory_limit,
                                                         GroupTree& tree) {
  const std::string handed_on = tree.Read(delegated / "cgroup.subtree_control").value_or("");
  for (const char* controller : {"memory", "pids"}) {
    if (!HasWord(handed_on, controller)) {
      return Fail(ErrorCode::kUnavailable,
                  delegated.string() + " hands on no controller " + controller +
                      ": write +memory +pids to its cgroup.subtree_control");
    }
  }
  static std::atomic<std::uint64_t> next = 0;
  const auto directory =
      delegated / ("session-" + std::to_string(getpid()) + "-" + std::to_string(next.fetch_add(1)));
  if (const auto made = tree.MakeDirectory(directory); !made) return Fail(made);
  std::unique_ptr<ControlGroup> group(new ControlGroup(tree, directory));
  if (const auto done = tree.Write(directory / "pids.max", "1"); !done) return Fail(done);
  if (memory_limit == 0) return group;
  const auto limit = std::to_string(memory_limit);
  if (const auto done = tree.Write(directory / "memory.max", limit); !done) return Fail(done);
  // Without an account of swap there is no such file, and nothing to limit.
  if (tree.Read(directory / "memory.swap.max")) {
    if (const auto done = tree.Write(directory / "memory.swap.max", "0"); !done) return Fail(done);
  }
  return group;
}

ControlGroup::~ControlGroup() { tree_.RemoveDirectory(directory_); }

Result<void> ControlGroup::Add(pid_t pid) {
  return tree_.Write(directory_ / "cgroup.procs", std::to_string(pid));
}

std::optional<std::uint64_t> ControlGroup::PeakMemory() const {
  const std::string text = tree_.Read(directory_ / "memory.peak").value_or("");
  std::uint64_t bytes = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return read.ec == std::errc() ? std::optional(bytes) : std::nullopt;
}

bool ControlGroup::WasOutOfMemory() const {
  // Lines of a key, a space and a number.
  const std::string text = "\n" + tree_.Read(directory_ / "memory.events").value_or("");
  constexpr std::string_view kKey = "\noom_kill ";
  const std::size_t at = text.find(kKey);
  return at != std::string::npos && text.compare(at + kKey.size(), 1, "0") != 0;
}

}  // namespace zerocloud::runtime
