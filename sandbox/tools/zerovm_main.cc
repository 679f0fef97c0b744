// zerovm MANIFEST: runs one session as a manifest describes it, prints its report, and exits with a
// HostStatus. Options that ZeroVM had are accepted where they still mean something.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "channels/host_status.h"
#include "sandbox/runtime/daemon.h"
#include "sandbox/runtime/run_manifest.h"

namespace {

using zerocloud::channels::HostStatus;
using zerocloud::channels::HostStatusRow;
using zerocloud::channels::kHostStatuses;

std::string ExitCodes() {
  std::string text = "Exit codes:\n";
  for (const HostStatusRow& row : kHostStatuses) {
    text += fmt::format("  {:2}  {}\n", static_cast<int>(row.status), row.meaning);
  }
  return text;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs one guest in a sandbox as a manifest (version 20130611) describes it.",
               "zerovm");
  std::string manifest;
  std::string format = "text";
  int report_target = 0;
  int verbosity = 0;
  zerocloud::runtime::RunOptions options;
  bool skips_verification = false;
  bool ignored = false;
  bool waits_for_debugger = false;
  app.add_option("manifest", manifest, "The manifest file")->required();
  app.add_flag("-F", options.verify_only, "Check everything, create nothing, run nothing");
  app.add_option("--report", format, "The form of the report on standard output")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_option("-t", report_target, "Where the report goes: only 0, standard output")
      ->check(CLI::IsMember({0}));
  app.add_option("-v", verbosity, "1 to 3: warn about lines of the manifest that have no effect")
      ->check(CLI::Range(0, 3));
  app.add_flag("-P", ignored, "Accepted: no file is ever preallocated");
  app.add_flag("-Q", ignored, "Accepted: data is never executable");
  std::int64_t cpu_limit_ms = 0;
  app.add_option("--cpu-limit", cpu_limit_ms, "Milliseconds of processor time, user and system")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{INT32_MAX}));
  app.add_option("--memory-limit", options.memory_limit, "Bytes of resident memory at any time")
      ->check(CLI::PositiveNumber);
  app.add_flag("--own-namespaces", options.wants_own_namespaces,
               "Namespaces that no other session shares, or an error");
  app.add_option("--control-groups", options.control_groups,
                 "A delegated directory of the cgroup file system; the session gets a group in it");
  app.add_flag("--debug", waits_for_debugger,
               "The session can be traced and stops before its first instruction for a debugger");
  app.add_flag("-s", skips_verification, "Refused: every program is verified");
  app.set_version_flag("--version", ZEROCLOUD_VERSION);
  app.footer(ExitCodes());
  try {
    app.parse(argc, argv);
    if (skips_verification) {
      throw CLI::ValidationError("-s", "a program is never run without verification; leave it out");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(HostStatus::kUsage);
  }

  if (waits_for_debugger) {
    options.on_stopped_for_debugger = [](pid_t session) {
      fmt::print(stderr, "zerovm: session {} waits for a debugger\n", session);
    };
  }
  options.cpu_limit = std::chrono::milliseconds(cpu_limit_ms);
  zerocloud::runtime::DaemonRun daemon;
  options.before_job = [&](const std::string& path) { return daemon.Begin(path); };
  auto report = zerocloud::runtime::RunManifest(manifest, options);
  daemon.Listen(report);
  if (verbosity > 0) {
    for (const auto& warning : report.warnings) {
      fmt::print(stderr, "zerovm: {}:{}: {}\n", manifest, warning.line, warning.message);
    }
  }
  const auto render =
      format == "json" ? zerocloud::runtime::RenderJson : zerocloud::runtime::RenderText;
  const std::string text = render(report);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fmt::print(stderr, "zerovm: cannot write the report to standard output\n");
    return static_cast<int>(HostStatus::kIo);
  }
  return daemon.Finish(static_cast<int>(report.status), options, render);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {  // of the option parser; nothing of ours throws
    std::fprintf(stderr, "zerovm: %s\n", error.what());
    return static_cast<int>(HostStatus::kIo);
  }
}
