// start_bench [--benchmark_...] NAME PROGRAM ARGUMENTS... -- NAME PROGRAM ... --: the time from
// starting each program until it is reaped, with the 50th and the 99th percentile of the
// iterations. What they print goes to /dev/null.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Command {
  std::string name;
  std::vector<char*> words;  // with the null at the end
};

// glibc's posix_spawn is clone(CLONE_VM | CLONE_VFORK) and exec.
bool Run(const Command& command, const posix_spawn_file_actions_t& actions) {
  pid_t pid = -1;
  int status = -1;
  return posix_spawnp(&pid, command.words[0], &actions, nullptr, command.words.data(), environ) ==
             0 &&
         waitpid(pid, &status, 0) == pid && status == 0;
}

void Repeat(benchmark::State& state, const Command& command,
            const posix_spawn_file_actions_t& actions) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> microseconds;
  for (auto _ : state) {
    const auto start = Clock::now();
    if (!Run(command, actions)) {
      state.SkipWithError("a run failed");
      return;
    }
    const std::chrono::duration<double, std::micro> time = Clock::now() - start;
    microseconds.push_back(time.count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  state.counters["p50_us"] = microseconds[(microseconds.size() - 1) / 2];
  state.counters["p99_us"] = microseconds[(microseconds.size() - 1) * 99 / 100];
  state.SetItemsProcessed(state.iterations());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<Command> commands;
  bool is_new = true;
  for (int i = 1; i < argc; ++i) {
    if (is_new) {
      commands.push_back({argv[i], {}});
      is_new = false;
    } else if (std::strcmp(argv[i], "--") == 0) {
      is_new = true;
    } else {
      commands.back().words.push_back(argv[i]);
    }
  }
  for (Command& command : commands) {
    if (command.words.empty()) {
      std::fprintf(stderr, "usage: %s [--benchmark_...] NAME PROGRAM ARGUMENTS... -- ...\n",
                   argv[0]);
      return 2;
    }
    command.words.push_back(nullptr);
    benchmark::RegisterBenchmark(command.name.c_str(), [&command, &actions](benchmark::State& s) {
      Repeat(s, command, actions);
    })->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  posix_spawn_file_actions_destroy(&actions);
}
