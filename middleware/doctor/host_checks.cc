// The process and the host: user, limits, spool, sandbox.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "channels/base/unique_fd.h"
#include "middleware/doctor/checks.h"
#include "middleware/doctor/trap_program.h"
#include "middleware/node/runner.h"
#include "sandbox/policy/layers.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::doctor {
namespace {

std::string Why(int error) { return ErrnoError("", error).message.substr(2); }

std::string Size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits.at(unit));
}

// What the walls around a session should be on any host where nobody has turned them off, and what
// to do for those that are missing.
struct WantedLayer {
  policy::Layer layer;
  std::string_view advice;
};
constexpr auto kWantedLayers = std::to_array<WantedLayer>({
    {policy::kUserNamespace,
     "allow user namespaces: sysctl user.max_user_namespaces and, on Debian, "
     "kernel.unprivileged_userns_clone=1; no RestrictNamespaces= in the unit"},
    {policy::kPidNamespace, "see user_namespace"},
    {policy::kIpcNamespace, "see user_namespace"},
    {policy::kUtsNamespace, "see user_namespace"},
    {policy::kNetworkNamespace, "see user_namespace"},
    {policy::kMountNamespace, "see user_namespace"},
    {policy::kEmptyRoot, "see user_namespace; no filter of mount and pivot_root in the unit"},
    {policy::kLandlock,
     "a kernel with Landlock: Linux 5.13, CONFIG_SECURITY_LANDLOCK, lsm=...,landlock"},
    {policy::kSetUpFilter, "a kernel with seccomp filters"},
    {policy::kRunningFilter, "a kernel with seccomp filters"},
    {policy::kNoNewPrivileges, "see docs/threat-model.md"},
    {policy::kUnprivilegedUser, "see docs/threat-model.md"},
    {policy::kNoCapabilities, "see docs/threat-model.md"},
});

// Far more than it takes, for a host that is busy.
constexpr std::chrono::seconds kSessionTime{60};

Result<runtime::SessionReport> RunTrap(const config::Config& config) {
  const std::unique_ptr<node::Runner> runner = node::MakeSandboxRunner();
  auto image = runner->Load(TrapProgram());
  if (!image.has_value()) return Fail(image);
  runtime::SessionRequest request;
  request.image = std::move(*image);
  request.memory_size = 64ULL << 20U;
  request.timeout = kSessionTime;
  request.wants_own_namespaces = config.engine.own_namespaces;
  request.control_groups = config.engine.control_groups;
  runtime::SessionChannel& channel = request.channels.emplace_back();
  channel.spec.alias = "/dev/stdin";
  channel.spec.limits.gets = channel.spec.limits.get_size = 1;
  channel.is_stream = true;
  channel.file.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto session = runner->Start(std::move(request));
  if (!session.has_value()) return Fail(session);
  pollfd ended{.fd = (*session)->pidfd(), .events = POLLIN, .revents = 0};
  const int ready =
      ::poll(&ended, 1, static_cast<int>(std::chrono::milliseconds(kSessionTime).count()));
  if (ready <= 0) (*session)->Kill(runtime::Cause::kTimedOut);
  return (*session)->Collect();
}

}  // namespace

void CheckUser(const config::Config& config, Findings& findings) {
  const auto user = static_cast<unsigned>(::geteuid());
  if (user == 0) {
    findings.push_back(
        {"user", State::kWarning, "this runs as root",
         "ask as the service's user, since rights are what is checked: runuser -u zerocloud -- "
         "zerocloud doctor"});
    return;
  }
  std::array<gid_t, 256> groups{};
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  const std::string devices = config.local.devices.empty() ? "" : "; devices are checked below";
  findings.push_back(
      {"user", State::kGood,
       fmt::format("user {} with {} supplementary groups{}", user, std::max(0, count), devices),
       ""});
}

void CheckOpenFiles(const config::Config& config, Findings& findings) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // A connection and the one behind it; a session with a handful of channels, both ends; the rest.
  constexpr std::uint64_t kOfASession = 32;
  constexpr std::uint64_t kOthers = 256;
  const std::uint64_t wanted =
      config.server.connections * 2 + config.engine.slots() * kOfASession + kOthers;
  const std::string found = fmt::format(
      "at most {} open files; connections and sessions may want {}", limit.rlim_max, wanted);
  if (limit.rlim_max >= wanted) {
    findings.push_back({"open files", State::kGood, found, ""});
  } else {
    findings.push_back(
        {"open files", State::kWrong, found,
         "LimitNOFILE=65536 in the systemd unit (ulimit -Hn elsewhere), or a smaller "
         "server.connections"});
  }
}

void CheckSpool(const config::Config& config, Findings& findings) {
  const std::string& directory = config.engine.spool_directory;
  const auto wrong = [&](const std::string& found, const std::string& advice) {
    findings.push_back({"spool", State::kWrong, found, advice});
  };
  const UniqueFd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.is_open()) {
    const int error = errno;
    return wrong(fmt::format("no file can be made in {}: {}", directory, Why(error)),
                 error == EOPNOTSUPP ? "a file system with O_TMPFILE (ext4, XFS, btrfs, tmpfs) for "
                                       "engine.spool_directory"
                                     : "make the directory writable for the service's user, or set "
                                       "engine.spool_directory");
  }
  struct statfs facts{};
  if (::fstatfs(file.get(), &facts) != 0) return wrong("its space is not known: " + Why(errno), "");
  const std::uint64_t free = facts.f_bavail * static_cast<std::uint64_t>(facts.f_bsize);
  const std::string found = fmt::format("{} free in {}; jobs may take {}", Size(free), directory,
                                        Size(config.engine.spool_bytes));
  constexpr std::uint64_t kLeast = 64ULL << 20U;
  if (free < kLeast) return wrong(found, "make room: nothing but the smallest jobs will run");
  const bool is_in_memory = facts.f_type == TMPFS_MAGIC || facts.f_type == RAMFS_MAGIC;
  if (is_in_memory) {
    findings.push_back({"spool", State::kWarning, found + "; it is memory",
                        "a directory on a disk, if jobs may move more than memory holds"});
  } else if (free < config.engine.spool_bytes) {
    findings.push_back(
        {"spool", State::kWarning, found,
         "set engine.spool_bytes below what is free, so that jobs are refused before "
         "the disk is full"});
  } else {
    findings.push_back({"spool", State::kGood, found, ""});
  }
}

void CheckControlGroups(const config::Config& config, Findings& findings) {
  const std::string& directory = config.engine.control_groups;
  if (directory.empty()) {
    findings.push_back({"control groups", State::kSkipped, "engine.control_groups is not set", ""});
    return;
  }
  std::ifstream file(directory + "/cgroup.controllers");
  const std::string controllers((std::istreambuf_iterator<char>(file)), {});
  constexpr std::string_view kAdvice =
      "delegate a group to the service's user: Delegate=memory pids in the systemd unit";
  if (!file) {
    findings.push_back({"control groups", State::kWrong,
                        directory + " is no group of the cgroup file system, version 2",
                        std::string(kAdvice)});
  } else if (controllers.find("memory") == std::string::npos ||
             controllers.find("pids") == std::string::npos ||
             ::access(directory.c_str(), W_OK) != 0) {
    findings.push_back({"control groups", State::kWrong,
                        directory + " is not writable, or lacks the controllers memory and pids",
                        std::string(kAdvice)});
  } else {
    findings.push_back({"control groups", State::kGood, directory + " is delegated", ""});
  }
}

void CheckSandbox(const config::Config& config, Findings& findings) {
  const Result<runtime::SessionReport> report = RunTrap(config);
  if (!report.has_value()) {
    findings.push_back({"sandbox", State::kWrong, "no session runs: " + report.error().message,
                        "install zvm-session beside zerocloud or in libexec/zerocloud, of the same "
                        "version; see docs/threat-model.md for what the kernel must have"});
    return;
  }
  if (report->cause != runtime::Cause::kFaulted) {
    findings.push_back({"sandbox", State::kWrong,
                        fmt::format("a session that should trap ended otherwise: {} {}",
                                    ToString(report->cause), report->message),
                        "zvm-session may be of another version, or something on this host filters "
                        "its system calls"});
    return;
  }
  bool is_whole = true;
  for (const WantedLayer& wanted : kWantedLayers) {
    if ((report->layers & wanted.layer) != 0) continue;
    is_whole = false;
    findings.push_back({"sandbox", State::kWarning,
                        fmt::format("sessions run without the layer {} of the second wall",
                                    policy::LayerName(wanted.layer)),
                        std::string(wanted.advice)});
  }
  if (!is_whole) return;
  findings.push_back({"sandbox", State::kGood,
                      fmt::format("a session ran, with {} layers around it",
                                  runtime::LayerNames(report->layers).size()),
                      ""});
}

}  // namespace zerocloud::doctor
