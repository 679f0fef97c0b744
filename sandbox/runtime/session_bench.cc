// session_bench [--benchmark_...] GUEST NATIVE [FORKER]: the time from starting a session of GUEST,
// verified before, until it is reaped and its report made: cloned from the zygote ("session"), the
// same with namespaces of its own, and started without a zygote ("alone"); against vfork + exec +
// wait of the program NATIVE; and of a session that goes on where FORKER, a guest that exits after
// it, forked. By one thread and by two. Each benchmark also counts the 50th and the 99th percentile
// of its iterations.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/session.h"
#include "sandbox/runtime/snapshot.h"

namespace {

using zerocloud::UniqueFd;
using zerocloud::loader::Image;
using zerocloud::runtime::Cause;
using zerocloud::runtime::Session;
using zerocloud::runtime::SessionReport;
using zerocloud::runtime::SessionRequest;
using zerocloud::runtime::Snapshot;

enum class Start { kZygote, kOwnNamespaces, kAlone };

// A new session of `image`, or one that goes on from `snapshot`.
SessionReport RunSession(const std::shared_ptr<const Image>& image,
                         const std::shared_ptr<const Snapshot>& snapshot, bool wants_snapshot,
                         Start start = Start::kZygote) {
  SessionRequest request;
  request.wants_zygote = start != Start::kAlone;
  request.wants_own_namespaces = start == Start::kOwnNamespaces;
  request.image = image;
  request.snapshot = snapshot;
  request.wants_snapshot = wants_snapshot;
  request.memory_size = std::size_t{64} << 20;
  request.timeout = std::chrono::seconds(10);
  for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
    auto& channel = request.channels.emplace_back();
    channel.spec.alias = alias;
    channel.spec.limits = {.gets = 1, .get_size = 1, .puts = 1, .put_size = 1};
    channel.file = UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
    channel.is_stream = true;
  }
  auto session = Session::Start(std::move(request));
  if (!session) return {};
  return (*session)->Wait();
}

bool IsGood(const SessionReport& report) {
  return report.cause == Cause::kExited && report.exit_code == 0;
}

bool RunNative(std::string path) {
  char* const arguments[] = {path.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  // glibc's posix_spawn is clone(CLONE_VM | CLONE_VFORK) and exec.
  if (posix_spawn(&pid, path.c_str(), nullptr, nullptr, arguments, environment) != 0) return false;
  int status = -1;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

void Repeat(benchmark::State& state, const std::function<bool()>& run) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> microseconds;
  for (auto _ : state) {
    const auto start = Clock::now();
    if (!run()) {
      state.SkipWithError("a run failed");
      return;
    }
    const std::chrono::duration<double, std::micro> time = Clock::now() - start;
    microseconds.push_back(time.count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto percentile = [&](std::size_t percent) {
    const double value = microseconds[(microseconds.size() - 1) * percent / 100];
    return benchmark::Counter(value, benchmark::Counter::kAvgThreads);
  };
  state.counters["p50_us"] = percentile(50);
  state.counters["p99_us"] = percentile(99);
  state.SetItemsProcessed(state.iterations());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s [--benchmark_...] GUEST NATIVE [FORKER]\n", argv[0]);
    return 2;
  }
  const UniqueFd file(open(argv[1], O_RDONLY | O_CLOEXEC));
  const auto image = Image::LoadFile(file.get());
  if (!image) {
    std::fprintf(stderr, "session_bench: %s: %s\n", argv[1], image.error().message.c_str());
    return 1;
  }
  const std::string native = argv[2];
  const auto add = [](const char* name, const std::function<bool()>& run) {
    const auto repeat = [run](benchmark::State& state) { Repeat(state, run); };
    benchmark::RegisterBenchmark(name, repeat)->UseRealTime();
    benchmark::RegisterBenchmark(name, repeat)->Threads(2)->UseRealTime();
  };
  add("session", [&] { return IsGood(RunSession(*image, nullptr, false)); });
  add("own_namespaces",
      [&] { return IsGood(RunSession(*image, nullptr, false, Start::kOwnNamespaces)); });
  add("alone", [&] { return IsGood(RunSession(*image, nullptr, false, Start::kAlone)); });
  std::shared_ptr<const Snapshot> snapshot;
  if (argc == 4) {
    const UniqueFd forker(open(argv[3], O_RDONLY | O_CLOEXEC));
    const auto forking = Image::LoadFile(forker.get());
    if (!forking) {
      std::fprintf(stderr, "session_bench: %s: %s\n", argv[3], forking.error().message.c_str());
      return 1;
    }
    snapshot = RunSession(*forking, nullptr, true).snapshot;
    if (snapshot == nullptr) {
      std::fprintf(stderr, "session_bench: %s does not fork\n", argv[3]);
      return 1;
    }
    add("snapshot", [&] { return IsGood(RunSession(nullptr, snapshot, false)); });
  }
  add("native", [&] { return RunNative(native); });
  // Once more: what differs from the one above is noise.
  add("again", [&] { return RunNative(native); });
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
