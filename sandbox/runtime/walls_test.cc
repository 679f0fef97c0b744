// The second wall from outside: what sessions are started with, the limits, and that nothing is
// left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"
#include "sandbox/policy/layers.h"
#include "sandbox/runtime/session.h"
#include "sandbox/runtime/spawn.h"
#include "sandbox/runtime/zygote.h"

namespace zerocloud::runtime {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kNamespaces =
    policy::kUserNamespace | policy::kPidNamespace | policy::kIpcNamespace | policy::kUtsNamespace |
    policy::kNetworkNamespace | policy::kMountNamespace | policy::kCgroupNamespace;

std::shared_ptr<const loader::Image> Guest(const std::string& name) {
  const std::string path = ZEROCLOUD_WALLS_GUESTS + name;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(file.is_open()) << path;
  auto image = loader::Image::LoadFile(file.get());
  EXPECT_TRUE(image) << image.error().message;
  return image ? *image : nullptr;
}

SessionChannel MemoryChannel(const char* alias, channels::ChannelLimits limits) {
  SessionChannel channel;
  channel.spec.alias = alias;
  channel.spec.limits = limits;
  channel.file.Reset(memfd_create(alias, MFD_CLOEXEC));
  EXPECT_TRUE(channel.file.is_open());
  return channel;
}

SessionRequest RequestFor(std::shared_ptr<const loader::Image> image, const std::string& input) {
  SessionRequest request;
  request.image = std::move(image);
  request.memory_size = std::uint64_t{512} << 20;
  request.timeout = std::chrono::seconds(20);
  SessionChannel in = MemoryChannel("/dev/stdin", {1000, 100000, 0, 0});
  EXPECT_EQ(write(in.file.get(), input.data(), input.size()), static_cast<ssize_t>(input.size()));
  in.size = input.size();
  request.channels.push_back(std::move(in));
  request.channels.push_back(MemoryChannel("/dev/stdout", {0, 0, 1000, 100000}));
  request.channels.push_back(MemoryChannel("/dev/stderr", {0, 0, 1000, 100000}));
  return request;
}

// A session that waits until the other end of its standard input says something.
SessionRequest WaitingRequest(const std::shared_ptr<const loader::Image>& image,
                              UniqueFd& other_end) {
  SessionRequest request = RequestFor(image, "");
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  request.channels[0].file.Reset(ends[0]);
  request.channels[0].is_stream = true;
  other_end.Reset(ends[1]);
  return request;
}

SessionReport RunSession(SessionRequest request) {
  auto session = Session::Start(std::move(request));
  EXPECT_TRUE(session) << session.error().message;
  return session ? (*session)->Wait() : SessionReport{};
}

void SayAndExpect(int end, unsigned char byte) { EXPECT_EQ(write(end, &byte, 1), 1); }

class Walls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Zygote::OfThisProcess() == nullptr) {
      GTEST_SKIP() << "no zygote here: under ThreadSanitizer, or the host refuses one";
    }
  }
};

// Not what this host happens to grant, but that the report tells what the zygote says it got, and
// that what no Linux refuses is there.
TEST_F(Walls, ReportNamesTheLayersOfTheSession) {
  const SessionReport report = RunSession(RequestFor(Guest("use_memory"), "1"));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  const std::uint32_t always = policy::kUnprivilegedUser | policy::kNoCapabilities |
                               policy::kNoNewPrivileges | policy::kNotDumpable |
                               policy::kResourceLimits | policy::kClosedDescriptors |
                               policy::kDiesWithHost | policy::kRunningFilter;
  EXPECT_EQ(report.layers, Zygote::OfThisProcess()->layers() | always);
  EXPECT_EQ(LayerNames(report.layers).size(),
            static_cast<std::size_t>(__builtin_popcount(report.layers)));
}

TEST_F(Walls, SessionsWithoutAZygoteHaveTheLayersThatNeedNone) {
  SessionRequest request = RequestFor(Guest("use_memory"), "1");
  request.wants_zygote = false;
  const SessionReport report = RunSession(std::move(request));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.layers & policy::kRunningFilter, policy::kRunningFilter);
  EXPECT_EQ(report.layers & kNamespaces, 0U);
  EXPECT_FALSE(report.peak_memory) << "it would be the host's";
}

TEST_F(Walls, SessionDoesNotStartWithoutRequiredLayers) {
  SessionRequest request = RequestFor(Guest("use_memory"), "1");
  request.wants_zygote = false;
  request.required_layers = policy::kPidNamespace;
  const auto session = Session::Start(std::move(request));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(session.error().message.find("pid_namespace"), std::string::npos);
}

// Whatever is in the way: no zygote, one whose sessions share, or a debugger, which wants none.
TEST_F(Walls, SessionThatWantsNamespacesOfItsOwnHasThemOrDoesNotStart) {
  const std::function<void(SessionRequest&)> obstacles[] = {
      [](SessionRequest& request) { request.wants_zygote = false; },
      [](SessionRequest& request) { request.zygote = Zygote::OfThisProcess(); },
      [](SessionRequest& request) { request.waits_for_debugger = true; }};
  for (const auto& obstacle : obstacles) {
    SessionRequest request = RequestFor(Guest("use_memory"), "1");
    request.wants_own_namespaces = true;
    obstacle(request);
    const auto session = Session::Start(std::move(request));
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(session.error().message.find("own_namespaces"), std::string::npos);
  }
}

TEST_F(Walls, SessionCanHaveNamespacesOfItsOwn) {
  if ((Zygote::OfThisProcess()->layers() & kNamespaces) != kNamespaces) {
    GTEST_SKIP() << "this host refuses some namespace";
  }
  UniqueFd end, other_end;
  const auto image = Guest("wait");
  SessionRequest request = WaitingRequest(image, end);
  request.wants_own_namespaces = true;
  const auto zygote = Zygote::OfThisProcess(Namespaces::kOwn);
  ASSERT_NE(zygote, nullptr);
  request.zygote = zygote;
  auto own = Session::Start(std::move(request));
  ASSERT_TRUE(own) << own.error().message;
  auto shared = Session::Start(WaitingRequest(image, other_end));
  ASSERT_TRUE(shared) << shared.error().message;
  const auto link = [](pid_t pid, const std::string& name) {
    char target[64] = {};
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + name;
    const ssize_t size = readlink(path.c_str(), target, sizeof target - 1);
    return size > 0 ? std::string(target) : std::string();
  };
  for (const char* name : {"user", "pid", "ipc", "uts", "mnt", "cgroup"}) {
    if (link((*own)->pid(), name).empty()) continue;  // only root may look at them
    EXPECT_NE(link((*own)->pid(), name), link((*shared)->pid(), name)) << name;
    EXPECT_NE(link((*own)->pid(), name), link(zygote->pid(), name)) << name;
    EXPECT_NE(link((*shared)->pid(), name), link(getpid(), name)) << name;
    EXPECT_EQ(link((*shared)->pid(), name),
              link(Zygote::OfThisProcess()->pid(),
                   std::string(name) == "pid" ? "pid_for_children" : name))
        << name;
  }
  EXPECT_EQ(link((*own)->pid(), "net"), link(zygote->pid(), "net"));
  SayAndExpect(end.get(), 7);
  SayAndExpect(other_end.get(), 8);
  const SessionReport report = (*own)->Wait();
  EXPECT_EQ(report.exit_code, 7) << report.message;
  EXPECT_EQ(report.layers & policy::kOwnNamespaces, policy::kOwnNamespaces);
  EXPECT_EQ((*shared)->Wait().exit_code, 8);
}

// A debugger weakens the second wall, and the report tells how.
TEST_F(Walls, SessionForADebuggerSaysWhichLayersItLacks) {
  SessionRequest request = RequestFor(Guest("use_memory"), "1");
  request.waits_for_debugger = true;
  auto session = Session::Start(std::move(request));
  ASSERT_TRUE(session) << session.error().message;
  (*session)->WaitUntilStopped();
  ASSERT_EQ(kill((*session)->pid(), SIGCONT), 0);
  const SessionReport report = (*session)->Wait();
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.layers & (policy::kNotDumpable | policy::kSetUpFilter | policy::kEmptyRoot), 0U);
  EXPECT_EQ(report.layers & kNamespaces, 0U);
  EXPECT_EQ(report.layers & policy::kRunningFilter, policy::kRunningFilter);
}

// For whoever got past the calls: the kernel's own limits are those of the session.
TEST_F(Walls, KernelKnowsTheLimitsOfTheSession) {
  for (const bool wants_zygote : {true, false}) {
    UniqueFd end;
    SessionRequest request = WaitingRequest(Guest("wait"), end);
    request.wants_zygote = wants_zygote;
    request.memory_size = std::uint64_t{64} << 20;
    request.cpu_limit = milliseconds(1500);
    auto session = Session::Start(std::move(request));
    ASSERT_TRUE(session) << session.error().message;
    const std::string path = "/proc/" + std::to_string((*session)->pid()) + "/limits";
    const auto limit = [&](const std::string& name) {
      std::ifstream in(path);
      std::string line;
      while (std::getline(in, line) && !line.starts_with(name)) {
      }
      return line.size() > name.size() ? std::strtoull(line.c_str() + name.size(), nullptr, 10) : 0;
    };
    // It is set up while we look.
    while (limit("Max file size") != 100000 && poll(nullptr, 0, 1) == 0) {
    }
    EXPECT_EQ(limit("Max cpu time"), 3U);
    EXPECT_EQ(limit("Max stack size"), std::uint64_t{256} << 10);
    EXPECT_GT(limit("Max data size"), std::uint64_t{60} << 20);
    EXPECT_LT(limit("Max data size"), std::uint64_t{70} << 20);
    EXPECT_EQ(limit("Max processes"), 0U);
    EXPECT_EQ(limit("Max open files"), 5U);
    EXPECT_EQ(limit("Max core file size"), 1U);
    SayAndExpect(end.get(), 9);
    EXPECT_EQ((*session)->Wait().exit_code, 9);
  }
}

TEST_F(Walls, ProcessorTimeIsLimited) {
  for (const bool wants_zygote : {true, false}) {
    SessionRequest request = RequestFor(Guest("spin"), "");
    request.cpu_limit = milliseconds(60);
    request.wants_zygote = wants_zygote;
    const SessionReport report = RunSession(std::move(request));
    EXPECT_EQ(report.cause, Cause::kCpuLimit) << report.message;
    EXPECT_NE(report.message.find("60000 us"), std::string::npos) << report.message;
    // The kernel looks at its ticks, and divides what it counted between user and system later.
    EXPECT_GE(report.user_time + report.system_time, milliseconds(30));
    EXPECT_LE(report.user_time + report.system_time, milliseconds(120));
  }
}

// A session that is the first process of its own namespace ignores signals without a handler.
TEST_F(Walls, ProcessorTimeIsLimitedInNamespacesOfItsOwn) {
  if ((Zygote::OfThisProcess()->layers() & kNamespaces) != kNamespaces) {
    GTEST_SKIP() << "this host refuses some namespace";
  }
  SessionRequest request = RequestFor(Guest("spin"), "");
  request.cpu_limit = milliseconds(60);
  request.wants_own_namespaces = true;
  EXPECT_EQ(RunSession(std::move(request)).cause, Cause::kCpuLimit);
}

TEST_F(Walls, PeakMemoryIsTheSessionsOwn) {
  const std::vector<char> ours(std::size_t{64} << 20, 1);  // of which it must not hear
  constexpr std::uint64_t kMiB = 1 << 20;
  const SessionReport none = RunSession(RequestFor(Guest("use_memory"), "1"));
  ASSERT_TRUE(none.peak_memory);
  EXPECT_LT(none.peak_memory.value_or(0), 2 * kMiB);
  EXPECT_GT(none.peak_memory.value_or(0), 50000U) << "it has touched pages";
  const SessionReport report =
      RunSession(RequestFor(Guest("use_memory"), std::to_string(100 * kMiB)));
  ASSERT_TRUE(report.peak_memory);
  EXPECT_GE(report.peak_memory.value_or(0), 99 * kMiB);
  EXPECT_LE(report.peak_memory.value_or(0), 102 * kMiB);
  EXPECT_EQ(ours.back(), 1);
}

TEST_F(Walls, MemoryIsLimitedApartFromTheAddressSpace) {
  constexpr std::uint64_t kMiB = 1 << 20;
  SessionRequest request = RequestFor(Guest("use_memory"), std::to_string(400 * kMiB));
  request.memory_limit = 50 * kMiB;
  const SessionReport over = RunSession(std::move(request));
  EXPECT_EQ(over.cause, Cause::kMemoryLimit) << over.message;
  EXPECT_NE(over.message.find("52428800 bytes"), std::string::npos) << over.message;
  RecordProperty("excess_bytes", std::to_string(over.peak_memory.value_or(0) - 50 * kMiB));

  request = RequestFor(Guest("use_memory"), std::to_string(40 * kMiB));
  request.memory_limit = 50 * kMiB;
  const SessionReport under = RunSession(std::move(request));
  EXPECT_EQ(under.cause, Cause::kExited) << under.message;
}

// However short the moment was: the keeper may have looked away, the kernel has not.
TEST_F(Walls, ExceedingTheMemoryLimitBrieflyIsFoundOut) {
  constexpr std::uint64_t kMiB = 1 << 20;
  SessionRequest request = RequestFor(Guest("use_memory"), std::to_string(4 * kMiB));
  request.memory_limit = 2 * kMiB;
  EXPECT_EQ(RunSession(std::move(request)).cause, Cause::kMemoryLimit);
}

TEST_F(Walls, SessionGetsThousandsOfChannels) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto zygote = [] {
    const auto launcher = LauncherFile();
    return Zygote::Make(*launcher, Namespaces::kShared);
  }();
  ASSERT_TRUE(zygote) << zygote.error().message;
  SessionRequest request = RequestFor(Guest("use_memory"), "1");
  request.zygote = *zygote;
  const std::size_t count = std::min<std::size_t>(1000, limit.rlim_cur / 4);
  while (request.channels.size() < count) {
    const std::string alias = "/dev/in" + std::to_string(request.channels.size());
    request.channels.push_back(MemoryChannel(alias.c_str(), {1, 1, 0, 0}));
  }
  const SessionReport report = RunSession(std::move(request));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.channels.size(), count);
}

TEST_F(Walls, ManyThreadsStartSessionsAtOnce) {
  const auto image = Guest("use_memory");
  std::vector<std::thread> threads;
  threads.reserve(8);
  std::atomic<int> good = 0;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        if (RunSession(RequestFor(image, "1")).cause == Cause::kExited) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 160);
}

// Bytes charged to the control group of this process, kernel memory included; nothing if there is
// no such account. Others in the group disturb it: for a figure, run the test in a group of its
// own.
std::optional<std::int64_t> ChargedMemory() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t colon = line.rfind(':');
    const std::string path = line.substr(colon + 1);
    std::int64_t bytes = 0;
    if (line.find(":memory:") != std::string::npos &&
        std::ifstream("/sys/fs/cgroup/memory" + path + "/memory.usage_in_bytes") >> bytes) {
      return bytes;
    }
    if (line.starts_with("0::") &&
        std::ifstream("/sys/fs/cgroup" + path + "/memory.current") >> bytes) {
      return bytes;
    }
  }
  return std::nullopt;
}

TEST_F(Walls, ThousandSessionsAreAliveAtOnce) {
  constexpr std::size_t kCount = 1000;
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < kCount * 4) GTEST_SKIP() << "needs 4000 descriptors, has " << limit.rlim_cur;
  const auto image = Guest("wait");
  const auto null = [] { return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)); };
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<UniqueFd> ends(kCount);
  const auto before = ChargedMemory();
  for (UniqueFd& end : ends) {
    SessionRequest request = WaitingRequest(image, end);
    request.timeout = std::chrono::seconds(50);
    for (int i = 1; i < 3; ++i) {
      request.channels[static_cast<std::size_t>(i)].file = null();
      request.channels[static_cast<std::size_t>(i)].is_stream = true;
    }
    auto session = Session::Start(std::move(request));
    ASSERT_TRUE(session) << session.error().message << " after " << sessions.size();
    sessions.push_back(std::move(*session));
  }
  if (const auto after = ChargedMemory(); before && after) {
    std::printf("%lld KiB for each idle session, if nobody else is in this control group\n",
                static_cast<long long>((*after - *before) / std::int64_t{kCount} / 1024));
  }
  for (const UniqueFd& end : ends) SayAndExpect(end.get(), 42);
  int good = 0;
  for (const auto& session : sessions) good += session->Wait().exit_code == 42 ? 1 : 0;
  EXPECT_EQ(good, 1000);
}

// --- Nothing is left behind ---

// Children, and whatever orphan becomes one of ours, until there is none left.
int ReapAll(std::chrono::steady_clock::time_point deadline) {
  int reaped = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG | __WALL);
    if (pid < 0 && errno == ECHILD) return reaped;
    if (pid > 0) ++reaped;
    if (pid == 0) std::this_thread::yield();
  }
  return -1;
}

// A host in a process of its own starts two sessions and says so; then it is killed.
void ExpectNothingSurvives(bool wants_zygote) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int said[2];
  ASSERT_EQ(pipe2(said, O_CLOEXEC), 0);
  const auto image = Guest("wait");
  const pid_t host = fork();
  if (host == 0) {
    UniqueFd ends[2];
    std::vector<std::unique_ptr<Session>> sessions;
    for (UniqueFd& end : ends) {
      SessionRequest request = WaitingRequest(image, end);
      request.wants_zygote = wants_zygote;
      auto session = Session::Start(std::move(request));
      if (!session) _exit(1);
      sessions.push_back(std::move(*session));
    }
    const char done = 1;
    if (write(said[1], &done, 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(said[1]);
  char done = 0;
  EXPECT_EQ(read(said[0], &done, 1), 1) << "the host could not start its sessions";
  close(said[0]);
  kill(host, SIGKILL);
  // The host and two sessions; with a zygote, it and the first process of its namespace, too.
  const int reaped = ReapAll(std::chrono::steady_clock::now() + std::chrono::seconds(10));
  EXPECT_GE(reaped, 3) << "something survived its host";
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// In a process of its own: no zygote or keeper of this one may be among the children.
TEST(Leftovers, SessionsDieWithTheirHost) {
  const pid_t pid = fork();
  if (pid == 0) {
    ExpectNothingSurvives(false);
    ExpectNothingSurvives(true);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

// The zygote is kept on the processor of whoever asks it for a session.
TEST_F(Walls, SessionMayRunOnEveryProcessorOfItsHost) {
  cpu_set_t ours, of_session;
  ASSERT_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
  for (const bool is_own : {false, true}) {
    UniqueFd end;
    SessionRequest request = WaitingRequest(Guest("wait"), end);
    request.wants_own_namespaces =
        is_own && (Zygote::OfThisProcess()->layers() & kNamespaces) == kNamespaces;
    auto session = Session::Start(std::move(request));
    ASSERT_TRUE(session) << session.error().message;
    ASSERT_EQ(sched_getaffinity((*session)->pid(), sizeof of_session, &of_session), 0);
    EXPECT_TRUE(CPU_EQUAL(&ours, &of_session));
    SayAndExpect(end.get(), 3);
    EXPECT_EQ((*session)->Wait().exit_code, 3);
  }
}

TEST_F(Walls, SessionsDieWithTheirZygoteAndLaterOnesGetAnother) {
  const auto zygote = Zygote::OfThisProcess();
  if ((zygote->layers() & policy::kPidNamespace) == 0) {
    GTEST_SKIP() << "this host refuses process id namespaces";
  }
  UniqueFd end;
  auto session = Session::Start(WaitingRequest(Guest("wait"), end));
  ASSERT_TRUE(session) << session.error().message;
  kill(zygote->pid(), SIGKILL);
  const SessionReport report = (*session)->Wait();
  EXPECT_EQ(report.cause, Cause::kKilled) << report.message;

  const SessionReport next = RunSession(RequestFor(Guest("use_memory"), "1"));
  EXPECT_EQ(next.cause, Cause::kExited) << next.message;
  const SessionReport after = RunSession(RequestFor(Guest("use_memory"), "1"));
  EXPECT_EQ(after.cause, Cause::kExited) << after.message;
  EXPECT_EQ(after.layers & policy::kPidNamespace, policy::kPidNamespace);
  EXPECT_NE(Zygote::OfThisProcess(), zygote);
}

TEST_F(Walls, KilledFirstProcessOfTheNamespaceMakesAnotherZygote) {
  const auto zygote = Zygote::OfThisProcess();
  if ((zygote->layers() & policy::kPidNamespace) == 0) {
    GTEST_SKIP() << "this host refuses process id namespaces";
  }
  const std::string path = "/proc/" + std::to_string(zygote->pid()) + "/task/" +
                           std::to_string(zygote->pid()) + "/children";
  pid_t first = -1;
  std::ifstream(path) >> first;
  ASSERT_GT(first, 0);
  ASSERT_EQ(kill(first, SIGKILL), 0);
  for (int i = 0; i < 100; ++i) {
    const SessionReport report = RunSession(RequestFor(Guest("use_memory"), "1"));
    // Whoever was started while the namespace was going may have been killed with it.
    if (report.cause == Cause::kExited && Zygote::OfThisProcess() != zygote) return;
  }
  FAIL() << "no other zygote";
}

}  // namespace
}  // namespace zerocloud::runtime
