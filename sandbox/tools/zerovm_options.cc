#include "sandbox/tools/zerovm_options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/host_status.h"
#include "sandbox/runtime/daemon.h"

namespace zerocloud::tools {
namespace {

using channels::DigestKind;
using channels::HostStatus;
using runtime::RunReport;

constexpr std::uint32_t kTracedCalls = 100'000;

std::string Footer() {
  std::string text = "Exit codes:\n";
  for (const channels::HostStatusRow& row : channels::kHostStatuses) {
    text += fmt::format("  {:2}  {}\n", static_cast<int>(row.status), row.meaning);
  }
  return text;
}

Result<void> WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return FailErrno("cannot write");
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

// One write, so that lines of several programs that share the file do not mix.
Result<void> AppendTo(const std::string& path, std::string_view text) {
  const UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!file.is_open()) return FailErrno("cannot open " + path);
  auto written = WriteAll(file.get(), text);
  if (!written) written.error().message += " " + path;
  return written;
}

// ZeroVM had the report in the log on one line.
std::string OnOneLine(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  std::string line;
  for (const char c : text) c == '\n' ? line += "; " : line += c;
  return line;
}

class Log {
 public:
  explicit Log(const ZerovmOptions& options) : options_(options) {}
  void Add(int level, std::string_view text) {
    if (level <= options_.verbosity) lines_ += fmt::format("zerovm: {}\n", text);
  }
  void AddAlways(std::string_view text) { Add(0, text); }
  // What is wrong with the log can only be told on standard error.
  [[nodiscard]] bool Write() const {
    if (lines_.empty()) return true;
    const auto written = options_.log_file.empty() ? WriteAll(STDERR_FILENO, lines_)
                                                   : AppendTo(options_.log_file, lines_);
    if (!written) fmt::print(stderr, "zerovm: {}\n", written.error().message);
    return written.has_value();
  }

 private:
  const ZerovmOptions& options_;
  std::string lines_;
};

void FillLog(const RunReport& report, const ZerovmOptions& options, Log& log) {
  for (const auto& warning : report.warnings) {
    log.Add(1, warning.line > 0
                   ? fmt::format("{}:{}: {}", options.manifest, warning.line, warning.message)
                   : warning.message);
  }
  if (report.status != HostStatus::kOk) log.Add(1, report.state);
  for (const runtime::RunStage& stage : report.stages) {
    log.Add(2, fmt::format("{} after {} us", stage.name, stage.since_start.count() / 1000));
  }
  for (const network::LinkReport& link : report.links) {
    log.Add(3,
            fmt::format("{}: {} bytes, {}", runtime::SourceName(report, link.channel, link.source),
                        link.bytes, link.is_complete ? link.digest : link.error));
  }
}

}  // namespace

std::optional<ZerovmOptions> ParseCommandLine(int argc, char** argv, int& exit_code) {
  ZerovmOptions options;
  CLI::App app("Runs one guest in a sandbox as a manifest (version 20130611) describes it.",
               "zerovm");
  std::string named_manifest;
  std::string format = "text";
  std::string digest;
  bool skips_extension = false;
  bool skips_verification = false;
  bool ignored = false;
  std::int64_t cpu_limit_ms = 0;
  auto* const manifest = app.add_option("manifest", options.manifest, "The manifest file");
  app.add_option("-M", named_manifest, "The manifest file, the old way")->excludes(manifest);
  app.add_flag("--check", options.only_checks,
               "List everything that is wrong with the manifest, and what it has to no effect");
  app.add_flag("-F", options.run.verify_only, "Check everything, create nothing, run nothing");
  app.add_option("--report", format, "The form of the report")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_option("-t", options.report_target, "Where the report goes: 0 standard output, 1 the log")
      ->check(CLI::IsMember({0, 1}));
  app.add_option("--report-file", options.report_file, "Write the report to this file instead");
  app.add_option("--digest", digest, "The digest of channels and memory")
      ->check(CLI::IsMember({"sha1", "sha256", "md5"}))
      ->default_str("sha1, or sha256 in JSON");
  app.add_option("--verdicts", options.run.verdict_directory,
                 "Keep verdicts here: a program that was accepted is not verified again");
  app.add_option("-T", options.trace_file, "Append a trace of stages and calls to this file");
  app.add_option("--log", options.log_file, "Append the log to this file, not to standard error");
  app.add_option("-v", options.verbosity,
                 "The log: 0 nothing, 1 errors and warnings, 2 also stages, 3 also links")
      ->check(CLI::Range(0, 3));
  app.add_flag("-P", skips_extension, "Do not extend outputs to put_size while the session runs");
  app.add_flag("-Q", ignored, "Accepted: data is never executable");
  app.add_option("--cpu-limit", cpu_limit_ms, "Milliseconds of processor time, user and system")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{INT32_MAX}));
  app.add_option("--memory-limit", options.run.memory_limit, "Bytes of resident memory at any time")
      ->check(CLI::PositiveNumber);
  app.add_flag("--own-namespaces", options.run.wants_own_namespaces,
               "Namespaces that no other session shares, or an error");
  app.add_option("--control-groups", options.run.control_groups,
                 "A delegated directory of the cgroup file system; the session gets a group in it");
  app.add_flag("--debug", options.waits_for_debugger,
               "The session can be traced and stops before its first instruction for a debugger");
  app.add_flag("-s", skips_verification, "Refused: every program is verified");
  app.set_version_flag("--version", ZEROCLOUD_VERSION);
  app.footer(Footer());
  try {
    app.parse(argc, argv);
    if (skips_verification) {
      throw CLI::ValidationError("-s", "no program runs unverified; --verdicts DIR keeps verdicts");
    }
    if (!named_manifest.empty()) options.manifest = named_manifest;
    if (options.manifest.empty()) throw CLI::RequiredError("manifest");
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : static_cast<int>(HostStatus::kUsage);
    return std::nullopt;
  }
  options.is_json = format == "json";
  if (digest == "sha256" || (digest.empty() && options.is_json)) {
    options.run.digest_kind = DigestKind::kSha256;
  }
  if (digest == "md5") options.run.digest_kind = DigestKind::kMd5;
  options.run.cpu_limit = std::chrono::milliseconds(cpu_limit_ms);
  options.run.extends_outputs = !skips_extension;
  if (!options.trace_file.empty()) options.run.trace_capacity = kTracedCalls;
  return options;
}

int Perform(const ZerovmOptions& options) {
  if (options.only_checks) {
    const auto findings = runtime::CheckManifestFile(options.manifest);
    const bool is_told = WriteAll(STDOUT_FILENO, findings.text).has_value();
    return static_cast<int>(is_told ? findings.status : HostStatus::kIo);
  }
  runtime::RunOptions run = options.run;
  if (options.waits_for_debugger) {
    run.on_stopped_for_debugger = [](pid_t session) {
      fmt::print(stderr, "zerovm: session {} waits for a debugger\n", session);
    };
  }
  runtime::DaemonRun daemon;
  run.before_job = [&daemon](const std::string& path) { return daemon.Begin(path); };
  RunReport report = runtime::RunManifest(options.manifest, run);
  daemon.Listen(report);
  Log log(options);
  FillLog(report, options, log);
  auto status = report.status;
  const auto must_succeed = [&](const Result<void>& written) {
    if (written) return;
    log.AddAlways(written.error().message);
    if (status == HostStatus::kOk) status = HostStatus::kIo;
  };
  const auto render = options.is_json ? runtime::RenderJson : runtime::RenderText;
  const std::string text = render(report);
  if (!options.report_file.empty()) {
    must_succeed(AppendTo(options.report_file, text));
  } else if (options.report_target == 1) {
    log.AddAlways(OnOneLine(text));
  } else {
    must_succeed(WriteAll(STDOUT_FILENO, text));
  }
  if (!options.trace_file.empty()) must_succeed(AppendTo(options.trace_file, RenderTrace(report)));
  if (!log.Write() && status == HostStatus::kOk) status = HostStatus::kIo;
  return daemon.Finish(static_cast<int>(status), run, render);
}

}  // namespace zerocloud::tools
