#include "sandbox/runtime/keeper.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <thread>

namespace zerocloud::runtime {
namespace {

using std::chrono::steady_clock;

// No processor of today fills pages faster than this; slower ones are looked at too often.
constexpr std::uint64_t kBytesPerMillisecond = 8 << 20;
constexpr std::chrono::milliseconds kShortestSleep{1}, kLongestSleep{50};

}  // namespace

Result<std::shared_ptr<MemoryWatch>> MemoryWatch::Make(pid_t pid, int pidfd, std::uint64_t limit,
                                                       std::uint64_t mapped_bytes) {
  auto watch = std::make_shared<MemoryWatch>();
  const std::string path = "/proc/" + std::to_string(pid) + "/statm";
  watch->statm_.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  watch->pidfd_.Reset(fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
  if (!watch->statm_.is_open() || !watch->pidfd_.is_open()) {
    return FailErrno("cannot watch the memory of a session (" + path + ")");
  }
  watch->limit_ = limit;
  watch->mapped_bytes_ = mapped_bytes;
  return watch;
}

steady_clock::duration MemoryWatch::Look() {
  char text[128];
  const ssize_t size = pread(statm_.get(), text, sizeof text, 0);
  if (size <= 0) return kLongestSleep;  // it has ended, and nobody has let go yet
  // All pages, resident pages, and those among them that are of files.
  std::array<std::uint64_t, 3> pages{};
  const char* at = text;
  for (std::uint64_t& count : pages) {
    at = std::from_chars(at, text + size, count).ptr;
    if (at != text + size) ++at;
  }
  static const auto kPageBytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t not_counted = std::min(pages[2] * kPageBytes, mapped_bytes_);
  const std::uint64_t all = pages[1] * kPageBytes;
  const std::uint64_t resident = all - std::min(all, not_counted);
  if (all > most_seen_) most_seen_ = all;  // nobody else writes it
  if (resident > limit_) {
    has_struck_ = true;
    syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    return kLongestSleep;
  }
  const std::chrono::milliseconds left{(limit_ - resident) / kBytesPerMillisecond};
  return std::clamp(left, kShortestSleep, kLongestSleep);
}

Keeper& Keeper::OfThisProcess() {
  static std::mutex mutex;
  static Keeper* keeper = nullptr;
  static pid_t owner = -1;
  const std::lock_guard lock(mutex);
  if (owner != getpid()) {
    keeper = new Keeper;  // never freed: its thread uses it until the process ends
    owner = getpid();
    // No handler of the host's runs in this thread, nor in what is started from it.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread(&Keeper::Loop, keeper).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  return *keeper;
}

void Keeper::Run(const std::function<void()>& task) {
  std::unique_lock lock(mutex_);
  tasks_.push_back(&task);
  const std::uint64_t mine = ++tasks_given_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return tasks_done_ >= mine; });
}

void Keeper::Watch(const std::shared_ptr<MemoryWatch>& watch) {
  const std::lock_guard lock(mutex_);
  watch->next_ = steady_clock::now();
  watches_.push_back(watch);
  changed_.notify_all();
}

void Keeper::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!tasks_.empty()) {
      const std::function<void()>& task = *tasks_.front();
      lock.unlock();
      task();
      lock.lock();
      tasks_.erase(tasks_.begin());
      ++tasks_done_;
      changed_.notify_all();
    }
    const auto now = steady_clock::now();
    auto next = steady_clock::time_point::max();
    std::erase_if(watches_, [&](const std::weak_ptr<MemoryWatch>& weak) {
      const auto watch = weak.lock();
      if (watch == nullptr) return true;
      if (watch->next_ <= now) watch->next_ = now + watch->Look();
      next = std::min(next, watch->next_);
      return watch->has_struck_.load();
    });
    if (watches_.empty()) {
      changed_.wait(lock, [&] { return !tasks_.empty() || !watches_.empty(); });
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

}  // namespace zerocloud::runtime
