// zvm-proof: mutates accepted programs, asks two other decoders about what is still accepted, runs
// it, and says what it found. zvm-proof-weakened is the same with a verifier whose rules can be
// switched off: there, finding an escape is what is expected. SIGINT and SIGTERM end it early: it
// says what it found so far.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/proof/proof.h"
#include "sandbox/verifier/rules.h"

#ifdef ZEROCLOUD_WEAKENED_VERIFIER
namespace zerocloud::verifier {
std::uint32_t weakened_rules = 0;
}
#endif

namespace zerocloud::proof {
namespace {

constexpr int kClean = 0, kCaught = 1, kUnusable = 2;

void PrintCode(const Progress& progress) {
  std::printf("code:");
  for (std::size_t k = 0; k < progress.code_size; ++k)
    std::printf("%s%02x", k % 32 == 0 ? "\n  " : " ", progress.code[k]);
  std::printf("\n");
}

// The files, and those in the directories, of `paths`.
std::vector<std::string> ListFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    const std::size_t first = files.size();
    for (const auto& entry : std::filesystem::directory_iterator(path))
      files.push_back(entry.path());
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(first), files.end());
  }
  return files;
}

Progress* stopped_progress = nullptr;

// The worker is told through what it shares with us: a handler of its own could run on a guest's
// stack.
void StopAtSignals(Progress& progress) {
  stopped_progress = &progress;
  struct sigaction action{};
  action.sa_handler = [](int) { stopped_progress->is_to_stop = true; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// Runs one worker and waits for it. True if it caught something.
bool RunWorker(const ProofOptions& options, Progress& progress) {
  std::fflush(stdout);
  StopAtSignals(progress);
  const pid_t worker = ::fork();
  if (worker == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    RunProof(options, progress);
    ::_exit(kClean);
  }
  int status = 0;
  while (::waitpid(worker, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kUnusable) return true;
  if (progress.is_caught || (WIFEXITED(status) && WEXITSTATUS(status) == kClean))
    return progress.is_caught;
  // The guest, or what the guest did to it, ended the worker.
  std::snprintf(progress.finding, sizeof progress.finding,
                "escape: the process ended with status %#x", static_cast<unsigned>(status));
  progress.is_caught = true;
  return true;
}

#ifdef ZEROCLOUD_WEAKENED_VERIFIER
bool WeakenRule(const std::string& id) {
  for (std::size_t k = 0; k < verifier::kRules.size(); ++k) {
    if (verifier::kRules[k].id != id) continue;
    verifier::weakened_rules |= 1u << k;
    return true;
  }
  return false;
}
#endif

int Main(int argc, char** argv) {
  CLI::App app(
      "Tries to get out of the verifier. Exit status: 0 nothing got out, 1 something did.");
  ProofOptions options;
  app.add_option("PROGRAM", options.programs, "Guest programs or object files to mutate")
      ->required();
  app.add_option("--seed", options.seed, "Of the random numbers")->capture_default_str();
  app.add_option("--seconds", options.seconds, "At most so long")->capture_default_str();
  app.add_option("--instructions", options.instructions,
                 "Until so many mutated ones have been tried");
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  std::vector<std::string> weakened;
  app.add_option("--weaken", weakened, "Rules to switch off")->required();
  options.asks_oracles = false;  // that running it shows it is worth more
  app.add_flag("--oracles", options.asks_oracles, "Also ask the other decoders");
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kClean : kUnusable;
  }
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  for (const std::string& id : weakened) {
    if (!WeakenRule(id)) {
      std::fprintf(stderr, "zvm-proof-weakened: there is no rule %s\n", id.c_str());
      return kUnusable;
    }
  }
#endif
  options.programs = ListFiles(options.programs);
  void* const memory =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return kUnusable;
  auto& progress = *new (memory) Progress{};
  const auto begin = std::chrono::steady_clock::now();
  const bool is_caught = RunWorker(options, progress);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "seed %llu: tried %llu programs of %llu instructions, %llu of them mutated; accepted %llu of"
      " %llu, %llu mutated; executed %llu (%llu stepped; %llu ended with a fault, %llu with a trap,"
      " %llu by time); %.1f s\n",
      number(options.seed), number(progress.programs), number(progress.instructions),
      number(progress.changed), number(progress.accepted), number(progress.accepted_instructions),
      number(progress.accepted_changed), number(progress.executed), number(progress.stepped),
      number(progress.faults), number(progress.traps), number(progress.timeouts), time.count());
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  std::printf("%s\n", is_caught ? progress.finding : "no escape, though a rule is missing");
  return is_caught ? kClean : kCaught;
#endif
  if (!is_caught) return progress.executed > 0 ? kClean : kUnusable;
  std::printf("%s\n", progress.finding);
  PrintCode(progress);
  return kCaught;
}

}  // namespace
}  // namespace zerocloud::proof

int main(int argc, char** argv) { return zerocloud::proof::Main(argc, argv); }
