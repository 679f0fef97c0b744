// A Runner without a sandbox: each session is a thread that does what the job's exec.args say, one
// word after the other, over the real channels.
//
//   cat      copies stdin, input and every /dev/in/* to stdout and every /dev/out/*
//   say:X    writes X to stdout          err:X    writes X to stderr
//   put:X    writes X to /dev/output     out:X    writes X to every /dev/out/*
//   flood:N  writes N bytes to every /dev/out/*
//   take:N   reads N bytes from every /dev/in/*
//   name     writes the session's name and a newline to stdout
//   nvram    writes /dev/nvram to stdout
//   broken   ends as if a channel's bytes were not to be had
//   call     calls Runner::on_call
//   hang     waits to be killed          exit:N   ends with code N        fault   ends by SIGSEGV
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "middleware/node/runner.h"

namespace zerocloud::node {

class FakeRunner : public Runner {
 public:
  std::function<void()> on_call;            // set before any job
  std::optional<Error> load_error;          // of programs
  std::atomic<int> starts_left = 1 << 30;   // then Start fails
  std::atomic<int> watched_left = 1 << 30;  // of sessions after these epoll takes no pidfd

  Result<std::shared_ptr<const loader::Image>> Load(std::span<const std::byte> program) override;
  Result<std::unique_ptr<RunningSession>> Start(runtime::SessionRequest request) override;

  // Waits until that many sessions have reached "hang".
  void WaitForHanging(int count);
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] int loads() const { return loads_; }
  [[nodiscard]] int alive() const { return alive_; }
  [[nodiscard]] int most_alive() const { return most_alive_; }

 private:
  friend class FakeSession;
  std::atomic<int> starts_ = 0, loads_ = 0, alive_ = 0, most_alive_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  int hanging_ = 0;
};

}  // namespace zerocloud::node
