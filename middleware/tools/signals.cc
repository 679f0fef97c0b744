#include "middleware/tools/signals.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace zerocloud::tools {
namespace {

// Counts SIGHUPs, and in its upper half signals to stop.
int g_event = -1;
constexpr std::uint64_t kStopUnit = 1ULL << 32U;

// Not a blocked mask and sigwait(): session processes would inherit the mask.
void OnSignal(int number) {
  const int error = errno;
  const std::uint64_t what = number == SIGHUP ? 1 : kStopUnit;
  [[maybe_unused]] const ssize_t count = ::write(g_event, &what, sizeof(what));
  errno = error;
}

}  // namespace

bool CatchSignals() {
  g_event = ::eventfd(0, EFD_CLOEXEC);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  return g_event >= 0 && ::sigaction(SIGTERM, &action, nullptr) == 0 &&
         ::sigaction(SIGINT, &action, nullptr) == 0 && ::sigaction(SIGHUP, &action, nullptr) == 0 &&
         ::signal(SIGPIPE, SIG_IGN) != SIG_ERR &&
         // A file-size limit is an error of the write, not the end of the service.
         ::signal(SIGXFSZ, SIG_IGN) != SIG_ERR;
}

Signal WaitForSignal() {
  std::uint64_t what = 0;
  while (::read(g_event, &what, sizeof(what)) < 0 && errno == EINTR) {
  }
  return what >= kStopUnit ? Signal::kStop : Signal::kReload;
}

}  // namespace zerocloud::tools
