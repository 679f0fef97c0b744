// Child processes of zvsh, and copying what they write. One thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::zvsh {

// A running child. Destroying it kills and reaps it.
class Process {
 public:
  struct Start {
    std::vector<std::string> command;  // [0] is the file, looked up in PATH if it has no slash
    int standard_input = 0;            // what becomes 0, 1 and 2 of the child
    int standard_output = 1;
    int standard_error = 2;
    bool has_own_group = false;  // so that the terminal's signals are not for it
  };
  static Result<Process> Run(const Start& start);
  // Runs `body` in a copy of this process, which ends with the status that it returns.
  static Result<Process> Fork(const std::function<int()>& body);

  Process() = default;  // none: pidfd() is -1, and nothing can be done with it
  Process(Process&& other) noexcept = default;
  Process& operator=(Process&& other) noexcept;  // ends what there was
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  [[nodiscard]] int pidfd() const { return pidfd_.get(); }  // readable when it has ended
  void Kill() const;
  int Wait();  // the status as of waitpid

 private:
  explicit Process(UniqueFd pidfd) : pidfd_(std::move(pidfd)) {}
  UniqueFd pidfd_;
};

struct Pipe {
  UniqueFd read_end, write_end;
};
Result<Pipe> MakePipe();

// Moves what comes out of one descriptor to others.
class Relay {
 public:
  // `from` does not block. `keeps` the text in memory, up to its first MiB; `to` and `copy` may be
  // closed (-1).
  Relay(UniqueFd from, int to, UniqueFd copy, bool keeps)
      : from_(std::move(from)), to_(to), copy_(std::move(copy)), keeps_(keeps) {}

  [[nodiscard]] int descriptor() const { return from_.get(); }  // -1 at the end
  [[nodiscard]] const std::string& text() const { return text_; }
  // Moves what is there now. false: nobody reads `to` any more.
  bool Move();

 private:
  UniqueFd from_;
  int to_;
  UniqueFd copy_;
  bool keeps_;
  std::string text_;
};

}  // namespace zerocloud::zvsh
