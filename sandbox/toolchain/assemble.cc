#include "sandbox/toolchain/assemble.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "channels/base/unique_fd.h"
#include "sandbox/toolchain/contains.h"
#include "sandbox/toolchain/lexer.h"
#include "sandbox/toolchain/rewrite.h"

extern char** environ;

namespace zerocloud::toolchain {
namespace {

constexpr std::string_view kDefaultAssembler = "clang-19";

// Options that only ask for diagnostics, for what we do anyway, or for another form of the same
// code.
constexpr std::array<std::string_view, 21> kIgnored = {"--64",
                                                       "-v",
                                                       "-W",
                                                       "--no-warn",
                                                       "--warn",
                                                       "--fatal-warnings",
                                                       "--noexecstack",
                                                       "-Qy",
                                                       "-Qn",
                                                       "-k",
                                                       "-K",
                                                       "-q",
                                                       "-f",
                                                       "-J",
                                                       "--reduce-memory-overheads",
                                                       "--divide",
                                                       "-s",
                                                       "-O0",
                                                       "-O1",
                                                       "-O2",
                                                       "-O"};
constexpr std::array<std::string_view, 9> kIgnoredStems = {"-march=",
                                                           "-mtune=",
                                                           "-mrelax-relocations=",
                                                           "--hash-size=",
                                                           "-msyntax=att",
                                                           "-a",
                                                           "--size-check=",
                                                           "--compress-debug-sections",
                                                           "-mbranches-within-32B-boundaries"};

// Their value is the next argument when it is not joined with '='.
constexpr std::array<std::string_view, 3> kIgnoredPairs = {"--debug-prefix-map", "--MD",
                                                           "--listing"};

bool StartsWithAny(std::string_view text, const auto& stems) {
  return std::ranges::any_of(stems, [&](std::string_view stem) { return text.starts_with(stem); });
}

Result<void> WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) return {};  // the assembler has stopped and said why
    if (n < 0) return FailErrno("cannot hand the assembly to the assembler");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Runs `arguments` with `input` on its standard input.
Result<void> RunWithInput(const std::vector<std::string>& arguments, std::string_view input) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);

  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, read_end.get(), STDIN_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return FailErrno("cannot run the assembler \"" + arguments[0] +
                         "\" (install clang-19, or name another one in ZVM_ASSEMBLER)",
                     error);
  }
  read_end.Reset();
  std::signal(SIGPIPE, SIG_IGN);
  auto written = WriteAll(write_end.get(), input);
  write_end.Reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!written) return written;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Fail(ErrorCode::kInvalid, "the assembler refused the rewritten assembly");
  }
  return {};
}

}  // namespace

Result<AssembleOptions> ParseAssembleOptions(const std::vector<std::string>& arguments) {
  AssembleOptions out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto value = [&]() -> std::string {
      if (argument.size() > 2) return argument.substr(2);
      return i + 1 < arguments.size() ? arguments[++i] : std::string{};
    };
    if (argument == "-" || argument.empty() || argument[0] != '-') {
      out.inputs.push_back(argument);
    } else if (argument.starts_with("-o")) {
      out.output = value();
    } else if (argument.starts_with("-I")) {
      out.pass_on.push_back("-I" + value());
    } else if (argument == "--defsym") {
      if (i + 1 < arguments.size()) out.pass_on.push_back("-Wa,--defsym," + arguments[++i]);
    } else if (argument == "--version" || argument == "-version") {
      out.version = true;
    } else if (argument.starts_with("--gdwarf") || argument.starts_with("-g")) {
      out.line_info = true;
    } else if (Contains(kIgnoredPairs, argument)) {
      ++i;
    } else if (argument == "--32" || argument == "--x32") {
      return Fail(ErrorCode::kInvalid, "option " + argument + ": a guest is a 64-bit program");
    } else if (argument.starts_with("-D") || Contains(kIgnored, argument) ||
               StartsWithAny(argument, kIgnoredStems) || StartsWithAny(argument, kIgnoredPairs)) {
      // Nothing to do.
    } else {
      return Fail(ErrorCode::kInvalid, "option " + argument + " is not understood");
    }
  }
  return out;
}

Result<std::string> ReadSource(const std::string& path) {
  UniqueFd file;
  if (path != "-") {
    file.Reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return FailErrno("cannot open " + path);
  }
  const int fd = path == "-" ? STDIN_FILENO : file.get();
  constexpr std::size_t kPiece = std::size_t{1} << 18;
  std::string out;
  while (out.size() <= kMaxAssemblyBytes) {
    const std::size_t size = out.size();
    out.resize(size + kPiece);
    const ssize_t n = ::read(fd, out.data() + size, kPiece);
    out.resize(size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return out;
    if (n < 0 && errno != EINTR) return FailErrno("cannot read " + path);
  }
  return out;  // too long; Lex says so
}

Result<void> Assemble(const AssembleOptions& options) {
  std::string source;
  const auto inputs = options.inputs.empty() ? std::vector<std::string>{"-"} : options.inputs;
  for (const std::string& input : inputs) {
    auto text = ReadSource(input);
    if (!text) return Fail(text);
    if (!source.empty()) source += '\n';
    source += *text;
  }
  const auto rewritten = Rewrite(source, inputs[0] == "-" ? "<stdin>" : inputs[0]);
  if (!rewritten) return Fail(rewritten);

  const char* chosen = std::getenv("ZVM_ASSEMBLER");  // NOLINT(concurrency-mt-unsafe)
  // znver2 only makes the padding instructions long; the code is as it was written.
  std::vector<std::string> command = {chosen != nullptr ? chosen : std::string(kDefaultAssembler),
                                      "--target=x86_64-linux-gnu",
                                      "-march=znver2",
                                      "-c",
                                      "-x",
                                      "assembler",
                                      "-Wno-unused-command-line-argument"};
  command.insert(command.end(), options.pass_on.begin(), options.pass_on.end());
  if (options.line_info && !rewritten->has_line_info) command.emplace_back("-g");
  command.insert(command.end(), {"-o", options.output, "-"});
  return RunWithInput(command, rewritten->text);
}

}  // namespace zerocloud::toolchain
