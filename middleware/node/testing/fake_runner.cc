#include "middleware/node/testing/fake_runner.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

namespace zerocloud::node {

using runtime::Cause;
using runtime::SessionChannel;

class FakeSession : public RunningSession {
 public:
  FakeSession(FakeRunner& runner, runtime::SessionRequest request)
      : runner_(runner),
        request_(std::move(request)),
        deadline_(std::chrono::steady_clock::now() + request_.timeout),
        ended_(runner.watched_left-- > 0 ? ::eventfd(0, EFD_CLOEXEC)
                                         : ::memfd_create("unwatchable", MFD_CLOEXEC)),
        killed_(::eventfd(0, EFD_CLOEXEC)) {
    ++runner_.starts_;
    const int alive = ++runner_.alive_;
    if (alive > runner_.most_alive_) runner_.most_alive_ = alive;
    report_.cause = Cause::kExited;
    for (const SessionChannel& channel : request_.channels) {
      report_.channels.emplace_back().alias = channel.spec.alias;
    }
    thread_ = std::thread([this] { Run(); });
  }
  ~FakeSession() override {
    Kill(Cause::kKilled);
    thread_.join();
    --runner_.alive_;
  }

  [[nodiscard]] int pidfd() const override { return ended_.get(); }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const override {
    return deadline_;
  }
  void Kill(Cause cause) override {
    Cause none = Cause::kExited;
    kill_cause_.compare_exchange_strong(none, cause);
    Signal(killed_.get());
  }
  runtime::SessionReport Collect() override {
    thread_.join();
    thread_ = std::thread([] {});
    return report_;
  }

 private:
  static void Signal(int fd) {
    const std::uint64_t one = 1;
    if (::write(fd, &one, sizeof one) < 0) std::abort();
  }

  void Run() {
    for (const std::string& word : Words()) {
      if (!Do(word)) break;
    }
    request_.channels.clear();
    Signal(ended_.get());
  }

  std::string Nvram() {
    std::string text(16384, '\0');
    for (const SessionChannel& channel : request_.channels) {
      if (channel.spec.alias != "/dev/nvram") continue;
      text.resize(
          static_cast<std::size_t>(::pread(channel.file.get(), text.data(), text.size(), 0)));
    }
    return text;
  }
  std::vector<std::string> Words() {
    const std::string text = Nvram();
    const std::size_t start = text.find("args=") + 5;
    std::string line = text.substr(start, text.find('\n', start) - start);
    std::vector<std::string> words;
    while (!line.empty()) {
      const std::size_t space = std::min(line.find(' '), line.size());
      words.push_back(line.substr(0, space));
      line.erase(0, space + 1);
    }
    name_ = words.front();
    words.erase(words.begin());
    return words;
  }

  bool Do(const std::string& word) {
    const std::size_t colon = std::min(word.find(':'), word.size());
    const std::string verb = word.substr(0, colon);
    const std::string rest = colon < word.size() ? word.substr(colon + 1) : "";
    if (verb == "cat") return Cat();
    if (verb == "say") return Write("/dev/stdout", rest);
    if (verb == "err") return Write("/dev/stderr", rest);
    if (verb == "put") return Write("/dev/output", rest);
    if (verb == "out") return Write("/dev/out/", rest);
    if (verb == "flood") return Write("/dev/out/", std::string(std::stoul(rest), 'x'));
    if (verb == "take") return Take(std::stoul(rest));
    if (verb == "name") return Write("/dev/stdout", name_ + "\n");
    if (verb == "nvram") return Write("/dev/stdout", Nvram());
    if (verb == "call") return runner_.on_call(), true;
    if (verb == "exit") return report_.exit_code = std::stoi(rest), false;
    if (verb == "broken") return report_.cause = Cause::kChannelIo, false;
    if (verb == "fault") {
      report_.cause = Cause::kFaulted;
      report_.signal = SIGSEGV;
      report_.guest_pc = 0x401234;
      report_.symbol = "main+0x14";
      return false;
    }
    if (verb == "hang") {
      {
        const std::lock_guard lock(runner_.mutex_);
        ++runner_.hanging_;
      }
      runner_.changed_.notify_all();
      Wait(-1, 0);
      return false;
    }
    return Write("/dev/stderr", "no such verb: " + verb), report_.exit_code = 127, false;
  }

  // Waits for the descriptor or the kill; false if killed.
  bool Wait(int fd, short events) {
    std::array<pollfd, 2> polled{pollfd{killed_.get(), POLLIN, 0}, pollfd{fd, events, 0}};
    while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
    }
    if ((polled[0].revents & POLLIN) == 0) return true;
    report_.cause = kill_cause_;
    report_.message = "killed";
    return false;
  }

  bool Take(std::size_t size) {
    for (SessionChannel& channel : request_.channels) {
      if (!channel.spec.alias.starts_with("/dev/in/")) continue;
      std::string text(size, '\0');
      for (std::size_t done = 0; done < size;) {
        if (!Wait(channel.file.get(), POLLIN)) return false;
        const ssize_t got = ::read(channel.file.get(), text.data() + done, size - done);
        if (got <= 0) return report_.exit_code = 5, false;
        done += static_cast<std::size_t>(got);
      }
      if (!Write("/dev/stdout", text)) return false;
    }
    return true;
  }

  bool Cat() {
    std::string all;
    for (std::size_t i = 0; i < request_.channels.size(); ++i) {
      SessionChannel& channel = request_.channels[i];
      if (!channel.spec.is_readable() || channel.spec.alias == "/dev/nvram") continue;
      std::uint64_t offset = 0;
      for (;;) {
        std::array<char, 4096> buffer{};
        if (channel.is_stream && !Wait(channel.file.get(), POLLIN)) return false;
        const ssize_t got = channel.is_stream
                                ? ::read(channel.file.get(), buffer.data(), buffer.size())
                                : ::pread(channel.file.get(), buffer.data(), buffer.size(),
                                          static_cast<off_t>(offset));
        if (got <= 0) break;
        offset += static_cast<std::uint64_t>(got);
        ++report_.channels[i].gets;
        report_.channels[i].get_bytes += static_cast<std::uint64_t>(got);
        all.append(buffer.data(), static_cast<std::size_t>(got));
      }
    }
    return Write("/dev/stdout", all) && Write("/dev/out/", all);
  }

  // To every writable channel whose alias begins so. False ends the session.
  bool Write(const std::string& alias, const std::string& text) {
    for (std::size_t i = 0; i < request_.channels.size(); ++i) {
      SessionChannel& channel = request_.channels[i];
      if (!channel.spec.alias.starts_with(alias) || !channel.spec.is_writable()) continue;
      runtime::ChannelUsage& usage = report_.channels[i];
      std::string_view rest = text;
      const auto left = static_cast<std::uint64_t>(channel.spec.limits.put_size) - usage.put_bytes;
      if (rest.size() > left) {
        rest = rest.substr(0, left);
        usage.hit_put_limit = true;
        report_.exit_code = 28;
      }
      while (!rest.empty()) {
        ssize_t put = 0;
        if (channel.is_stream) {
          if (!Wait(channel.file.get(), POLLOUT)) return false;
          put = ::write(channel.file.get(), rest.data(), std::min<std::size_t>(rest.size(), 4096));
        } else {
          put = ::pwrite(channel.file.get(), rest.data(), rest.size(),
                         static_cast<off_t>(usage.size));
        }
        if (put < 0) {
          report_.cause = Cause::kChannelIo;
          report_.host_errno = errno;
          report_.message = "cannot write " + channel.spec.alias;
          return false;
        }
        ++usage.puts;
        usage.put_bytes += static_cast<std::uint64_t>(put);
        usage.size += static_cast<std::uint64_t>(put);
        rest.remove_prefix(static_cast<std::size_t>(put));
      }
      if (usage.hit_put_limit) return false;
    }
    return true;
  }

  FakeRunner& runner_;
  runtime::SessionRequest request_;
  std::chrono::steady_clock::time_point deadline_;
  UniqueFd ended_;
  UniqueFd killed_;
  std::atomic<Cause> kill_cause_ = Cause::kExited;
  runtime::SessionReport report_;
  std::string name_;
  std::thread thread_;
};

Result<std::shared_ptr<const loader::Image>> FakeRunner::Load(std::span<const std::byte>) {
  ++loads_;
  if (load_error) return Fail(load_error->code, load_error->message);
  return std::shared_ptr<const loader::Image>();
}

Result<std::unique_ptr<RunningSession>> FakeRunner::Start(runtime::SessionRequest request) {
  if (starts_left-- <= 0) return Fail(ErrorCode::kUnavailable, "out of processes");
  return std::make_unique<FakeSession>(*this, std::move(request));
}

void FakeRunner::WaitForHanging(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return hanging_ >= count; });
}

}  // namespace zerocloud::node
