// The command line of `zerovm` and where its output goes: ZeroVM's options where they still mean
// something, and ours. docs/manifest.md describes them all.
#pragma once

#include <optional>
#include <string>

#include "sandbox/runtime/run_manifest.h"

namespace zerocloud::tools {

struct ZerovmOptions {
  std::string manifest;
  bool only_checks = false;         // --check
  bool is_json = false;             // --report json
  int report_target = 0;            // -t: 0 standard output, 1 the log
  std::string report_file;          // --report-file; empty: see report_target
  std::string log_file;             // --log; empty: standard error
  std::string trace_file;           // -T; empty: none
  bool waits_for_debugger = false;  // --debug
  int verbosity = 0;                // -v
  runtime::RunOptions run;
};

// nullopt: what there is to say has been said, end with `exit_code`.
std::optional<ZerovmOptions> ParseCommandLine(int argc, char** argv, int& exit_code);

// Runs or checks as the options say, writes report, log and trace, and returns the exit code.
int Perform(const ZerovmOptions& options);

}  // namespace zerocloud::tools
