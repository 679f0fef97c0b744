// DaemonRun: how `zerovm` becomes a daemon when its manifest has a Job and the guest forks.
//
// The session runs in a child of the program that was started, because that one must end with the
// session's exit code while the child, which owns everything that sessions need, lives on: it
// leaves its terminal and answers manifests on the unix socket that Job names. Each gets a session
// of its own that goes on from the snapshot, and a report. At most kMaxDaemonSessions at once;
// further clients wait to be accepted.
//
// Only processes of the same user or root are answered (SO_PEERCRED), and only they can open the
// socket (mode 0600). SIGTERM removes the socket and ends the daemon, and with it every session.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "sandbox/runtime/report.h"
#include "sandbox/runtime/run_manifest.h"

namespace zerocloud::runtime {

inline constexpr int kMaxDaemonSessions = 64;
// How long a client may take to send its manifest or to receive its report.
inline constexpr int kDaemonPatienceSeconds = 30;

using ReportRenderer = std::function<std::string(const RunReport&)>;

class DaemonRun {
 public:
  DaemonRun() = default;
  DaemonRun(const DaemonRun&) = delete;
  DaemonRun& operator=(const DaemonRun&) = delete;

  // To be called once the manifest is accepted and has a Job, before anything is started and while
  // there is one thread. Returns in a child of the calling process, which itself waits there, and
  // ends with the exit code that Finish() tells it.
  Result<void> Begin(std::string socket_path);

  // After the session: if it forked, listens on the socket and says so in the report; if that
  // fails, the report gets the reason.
  void Listen(RunReport& report);

  // After the report was written: tells the waiting parent `exit_code`. If there is a snapshot to
  // serve, does so until SIGTERM, each session with `options`. Returns what to exit with.
  int Finish(int exit_code, const RunOptions& options, const ReportRenderer& render);

 private:
  Result<void> Bind();
  void LeaveTerminal();
  int Serve(const RunOptions& options, const ReportRenderer& render);
  // Whether the socket's path still names the socket that was bound.
  [[nodiscard]] bool IsOurs() const;

  std::string socket_path_;
  UniqueFd parent_;  // the exit code goes here
  UniqueFd socket_;
  ino_t inode_ = 0;
  dev_t device_ = 0;
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace zerocloud::runtime
