#include "sandbox/zvsh/run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "sandbox/zvsh/invocation.h"
#include "sandbox/zvsh/outcome.h"
#include "sandbox/zvsh/process.h"
#include "sandbox/zvsh/workplace.h"

namespace zerocloud::zvsh {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDebuggingTimeout = std::int64_t{30} * 24 * 3600;
constexpr int kRejected = 8;  // of zerovm
constexpr std::string_view kStoppedPrefix = "zerovm: session ";

void Say(std::string_view text) { fmt::print(stderr, "zvsh: {}\n", text); }

Result<std::string> AbsolutePath(std::string_view name) {
  std::error_code error;
  const fs::path path = fs::absolute(name, error);
  if (error) return FailErrno(std::string(name), error.value());
  return path.string();
}

std::string SiblingProgram(std::string_view name) {
  std::error_code ignored;
  return (fs::read_symlink("/proc/self/exe", ignored).parent_path() / name).string();
}

StreamKind KindOf(int descriptor) {
  struct stat status{};
  if (::isatty(descriptor) == 1) return StreamKind::kTerminal;
  if (::fstat(descriptor, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))) {
    return StreamKind::kPipe;
  }
  return StreamKind::kFile;
}

// Whether a session that opens /dev/stdin anew reads what our own descriptor would.
bool CanReopenInput() {
  struct stat status{};
  if (::fstat(STDIN_FILENO, &status) != 0) return false;
  if (S_ISREG(status.st_mode)) return ::lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
  return S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
}

// Copies our standard input to a FIFO until either end is done.
int FeedInput(const std::string& fifo) {
  const UniqueFd to(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  Relay relay(UniqueFd(STDIN_FILENO), to.get(), UniqueFd(), false);
  return to.is_open() && relay.Move() ? 0 : 1;
}

class Runner {
 public:
  Runner(const RunOptions& options, Workplace workplace)
      : options_(options), workplace_(std::move(workplace)) {}

  Result<int> Run() {
    if (auto done = Prepare(); !done) return Fail(done);
    if (auto done = StartAll(); !done) return Fail(done);
    const auto interrupted = Watch();
    if (!interrupted) return Fail(interrupted);
    if (auto done = KeepStreams(); !done) return Fail(done);
    if (*interrupted != 0) return kStatusSignal + *interrupted;
    return Judge();
  }

 private:
  [[nodiscard]] bool IsDebugging() const {
    return options_.waits_for_debugger || options_.runs_debugger;
  }

  // Everything up to the files of the workplace.
  Result<void> Prepare() {
    auto from_files = ReadConfigFiles();
    if (!from_files) return Fail(from_files);
    Config config;
    config.images = options_.images;
    MergeUnder(config, *from_files);
    if (IsDebugging()) config.timeout_seconds = kDebuggingTimeout;
    auto invocation = Resolve(workplace_, options_.command, options_.arguments, config);
    if (!invocation) return Fail(invocation);
    invocation_ = std::move(*invocation);
    invocation_.nvram_path = workplace_.Path(kNvramName);
    if (auto done = PrepareStreams(); !done) return done;
    if (auto done = PrepareLogs(); !done) return done;
    const auto nvram = ComposeNvram(invocation_);
    if (!nvram) return Fail(nvram);
    if (auto done = workplace_.Write(kNvramName, *nvram); !done) return done;
    return workplace_.Write(kManifestName, ComposeManifest(invocation_));
  }

  Result<void> PrepareStreams() {
    invocation_.standard_output = {workplace_.Path(kOutputName), KindOf(STDOUT_FILENO)};
    invocation_.standard_error = {workplace_.Path(kErrorName), KindOf(STDERR_FILENO)};
    for (const std::string_view name : {kOutputName, kErrorName}) {
      if (auto done = workplace_.MakeFifo(name); !done) return done;
    }
    const bool is_open = ::fcntl(STDIN_FILENO, F_GETFD) >= 0;
    if (!is_open || (options_.runs_debugger && ::isatty(STDIN_FILENO) == 1)) {
      invocation_.standard_input = {"/dev/null", StreamKind::kFile};
    } else if (CanReopenInput()) {
      invocation_.standard_input = {"/dev/stdin", KindOf(STDIN_FILENO)};
    } else {
      invocation_.standard_input = {workplace_.Path(kInputName), KindOf(STDIN_FILENO)};
      if (auto done = workplace_.MakeFifo(kInputName); !done) return done;
      feeds_input_ = true;
    }
    return {};
  }

  Result<void> PrepareLogs() {
    invocation_.verbosity = options_.verbosity;
    if (!options_.has_debug_log) return {};
    const auto path = AbsolutePath("zvsh.log");
    if (!path) return Fail(path);
    auto fit = workplace_.Fit(*path);
    if (!fit) return Fail(fit);
    invocation_.debug_path = std::move(*fit);
    if (invocation_.verbosity < 0) invocation_.verbosity = 1;
    return {};
  }

  [[nodiscard]] std::vector<std::string> ZerovmCommand() const {
    std::vector<std::string> command = {SiblingProgram("zerovm"), "-P", "-Q", "--report", "json"};
    if (IsDebugging()) command.emplace_back("--debug");
    if (options_.has_trace) {
      const auto path = AbsolutePath("zvsh.trace.log");
      command.emplace_back("-T");
      command.push_back(path ? *path : "zvsh.trace.log");
    }
    command.push_back(workplace_.Path(kManifestName));
    return command;
  }

  // A FIFO of the workplace, read by us before the session opens it; kept where it will be a file.
  Result<Relay> OpenRelay(std::string_view name, int to) const {
    UniqueFd from(::open(workplace_.Path(name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!from.is_open()) return FailErrno("cannot open " + workplace_.Path(name));
    UniqueFd copy;
    if (workplace_.is_kept()) {
      const std::string path = workplace_.Path(name) + ".part";
      copy.Reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      if (!copy.is_open()) return FailErrno("cannot make " + path);
    }
    return Relay(std::move(from), to, std::move(copy), false);
  }

  Result<void> StartAll() {
    auto output = OpenRelay(kOutputName, STDOUT_FILENO);
    if (!output) return Fail(output);
    auto error = OpenRelay(kErrorName, STDERR_FILENO);
    if (!error) return Fail(error);
    auto report = MakePipe();
    auto words = MakePipe();
    if (!report) return Fail(report);
    if (!words) return Fail(words);
    if (feeds_input_) {
      auto feeder =
          Process::Fork([path = invocation_.standard_input.path] { return FeedInput(path); });
      if (!feeder) return Fail(feeder);
      feeder_ = std::move(*feeder);
    }
    auto zerovm = Process::Run({.command = ZerovmCommand(),
                                .standard_output = report->write_end.get(),
                                .standard_error = words->write_end.get(),
                                .has_own_group = options_.runs_debugger});
    if (!zerovm) return Fail(zerovm);
    zerovm_ = std::move(*zerovm);
    relays_.push_back(std::move(*output));
    relays_.push_back(std::move(*error));
    relays_.emplace_back(std::move(report->read_end), -1, UniqueFd(), true);
    relays_.emplace_back(std::move(words->read_end), IsDebugging() ? -1 : STDERR_FILENO, UniqueFd(),
                         true);
    return {};
  }
  [[nodiscard]] const std::string& report() const { return relays_[2].text(); }
  [[nodiscard]] const std::string& words() const { return relays_[3].text(); }

  // Until zerovm has ended and all that it wrote is relayed. The signal that ended it, or 0.
  Result<int> Watch() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    const UniqueFd signalled(::signalfd(-1, &signals, SFD_CLOEXEC));
    if (!signalled.is_open()) return FailErrno("cannot watch for signals");
    for (;;) {
      std::vector<pollfd> fds = {{zerovm_.pidfd(), POLLIN, 0}, {signalled.get(), POLLIN, 0}};
      for (const Relay& relay : relays_) fds.push_back({relay.descriptor(), POLLIN, 0});
      fds.push_back({debugger_.pidfd(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return FailErrno("poll");
      for (Relay& relay : relays_) {
        if (!relay.Move()) return SIGPIPE;
      }
      if (auto done = StartDebugger(); !done) return Fail(done);
      // As of any program that gdb debugs. If the session has ended by itself, this does nothing.
      if (fds.back().revents != 0) {
        debugger_.Wait();
        debugger_ = {};
        ::syscall(SYS_pidfd_send_signal, session_.get(), SIGKILL, nullptr, 0);
      }
      if ((fds[1].revents & POLLIN) != 0) {
        signalfd_siginfo info{};
        if (::read(signalled.get(), &info, sizeof info) == ssize_t{sizeof info} &&
            !(options_.runs_debugger && info.ssi_signo == SIGINT)) {
          return static_cast<int>(info.ssi_signo);
        }
      }
      if (fds[0].revents != 0) return DrainAll();
    }
  }

  // What was written between the last look and the end.
  Result<int> DrainAll() {
    zerovm_.Wait();
    zerovm_ = {};
    feeder_ = {};
    for (Relay& relay : relays_) {
      if (!relay.Move()) return SIGPIPE;
    }
    if (debugger_.pidfd() >= 0) debugger_.Wait();
    debugger_ = {};
    return 0;
  }

  // Once the session waits: a script for gdb, and gdb itself or how to start it.
  Result<void> StartDebugger() {
    if (!IsDebugging() || is_debugger_told_ || !words().contains('\n')) return {};
    is_debugger_told_ = true;
    int session = 0;
    if (words().starts_with(kStoppedPrefix)) {
      const char* const digits = words().data() + kStoppedPrefix.size();
      std::from_chars(digits, words().data() + words().size(), session);
    }
    if (session <= 0) return {};  // it ended before; its report says why
    session_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, session, 0)));
    std::string script = fmt::format(
        "# The guest is not relocated, so its symbols are where they are in its file.\n"
        "set confirm off\n"
        "handle SIGSTOP nostop noprint nopass\n"
        "file {}\n"
        "attach {}\n",
        invocation_.program, session);
    if (options_.runs_debugger) script += "tbreak main\ncontinue\n";
    if (auto done = workplace_.Write(kGdbName, script); !done) return done;
    const std::string path = workplace_.Path(kGdbName);
    if (!options_.runs_debugger) {
      Say(fmt::format("session {} waits for a debugger; in another terminal:\n  gdb -q -x {}",
                      session, path));
      return {};
    }
    std::vector<std::string> command = {"gdb", "-q", "-x", path};
    command.insert(command.end(), options_.gdb_options.begin(), options_.gdb_options.end());
    auto debugger = Process::Run({.command = command});
    if (!debugger) return Fail(debugger);
    debugger_ = std::move(*debugger);
    return {};
  }

  // In a directory that is kept, the FIFOs become files with what went through them.
  Result<void> KeepStreams() {
    zerovm_ = {};
    relays_[0] = Relay(UniqueFd(), -1, UniqueFd(), false);
    relays_[1] = Relay(UniqueFd(), -1, UniqueFd(), false);
    if (!workplace_.is_kept()) return {};
    for (const std::string_view name : {kOutputName, kErrorName}) {
      const std::string path = workplace_.Path(name);
      if (::rename((path + ".part").c_str(), path.c_str()) != 0) return FailErrno(path);
    }
    if (feeds_input_) ::unlink(workplace_.Path(kInputName).c_str());
    return workplace_.Write(kReportName, report());
  }

  // An image that was mounted and written at once is replaced when all went well.
  Result<void> ReplaceImages() const {
    constexpr std::string_view kNew = ".new";
    for (const ImageOption& image : invocation_.images) {
      if (image.access != "wo" || !image.path.ends_with(kNew)) continue;
      const std::string old = image.path.substr(0, image.path.size() - kNew.size());
      for (const ImageOption& other : invocation_.images) {
        if (other.access != "ro" || other.path != old) continue;
        if (::rename(image.path.c_str(), old.c_str()) != 0)
          return FailErrno("cannot replace " + old);
        break;
      }
    }
    return {};
  }

  // The report names the first rule that is broken; this also shows the instruction.
  void ListViolations() const {
    const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto verify =
        Process::Run({.command = {SiblingProgram("zvm-verify"), "--max", "3", invocation_.program},
                      .standard_input = nowhere.get(),
                      .standard_output = STDERR_FILENO,
                      .standard_error = nowhere.get()});
    if (verify) verify->Wait();
  }

  Result<int> Judge() const {
    const auto outcome = ReadOutcome(report());
    if (!outcome) {
      return Fail(outcome.error().code,
                  outcome.error().message + (IsDebugging() ? ": " + words() : ""));
    }
    if (outcome->host_status == 0) {
      if (auto done = ReplaceImages(); !done) return Fail(done);
    }
    const Verdict verdict = JudgeOutcome(*outcome);
    if (!verdict.sentence.empty()) Say(verdict.sentence);
    if (outcome->host_status == kRejected) ListViolations();
    return options_.wants_host_code ? outcome->host_status : verdict.status;
  }

  const RunOptions& options_;
  Workplace workplace_;
  Invocation invocation_;
  bool feeds_input_ = false;
  bool is_debugger_told_ = false;
  std::vector<Relay> relays_;  // standard output, standard error, zerovm's report, its messages
  UniqueFd session_;           // the process that waits for a debugger
  Process feeder_, debugger_, zerovm_;
};

}  // namespace

Result<void> SetCommand(RunOptions& options, const std::vector<std::string>& words) {
  auto first = words.begin();
  if (first != words.end() && *first == "gdb") {
    const auto separator = std::ranges::find(words, "--args");
    if (separator == words.end()) {
      return Fail(ErrorCode::kInvalid, "gdb needs --args: zvsh gdb --args COMMAND ARGUMENTS...");
    }
    options.runs_debugger = true;
    options.gdb_options.assign(first + 1, separator);
    first = separator + 1;
  }
  if (first == words.end())
    return Fail(ErrorCode::kInvalid, "name the command to run; --help tells more");
  if (first->starts_with('-')) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("there is no option {}; --help tells more", *first));
  }
  options.command = *first;
  options.arguments.assign(first + 1, words.end());
  return {};
}

int Run(const RunOptions& options) {
  auto workplace = Workplace::Make(options.save_directory);
  if (!workplace) {
    Say(workplace.error().message);
    return kStatusUsage;
  }
  const auto status = Runner(options, std::move(*workplace)).Run();
  if (status) return *status;
  Say(status.error().message);
  return kStatusUsage;
}

}  // namespace zerocloud::zvsh
