// zvsh COMMAND ARGUMENTS...: runs a guest like a command; docs/zvsh.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "sandbox/zvsh/outcome.h"
#include "sandbox/zvsh/run.h"

namespace {

using zerocloud::zvsh::kStatusUsage;

constexpr auto kFooter =
    "Arguments of the guest:\n"
    "  @PATH        the file becomes a channel; the guest gets the channel's name\n"
    "  @NAME=VALUE  a variable of the guest's environment\n"
    "  @@TEXT       the text @TEXT\n"
    "  gdb [OPTIONS] --args COMMAND...  as COMMAND: debug it, beginning in main\n"
    "Exit status:\n"
    "  0-123, 200-255  the guest's own code\n"
    "  124      the timeout          125      another code of the guest, said on standard error\n"
    "  129-159  128 + the signal that ended the guest, or zvsh\n"
    "  160-199  160 + zerovm's exit code (199: a larger one); 182: wrong command line";

int Main(int argc, char** argv) {
  CLI::App app("Runs a guest like a command: zvsh [OPTIONS] COMMAND [ARGUMENTS...]", "zvsh");
  zerocloud::zvsh::RunOptions options;
  std::vector<std::string> images;
  app.prefix_command();
  app.add_option("--zvm-image", images,
                 "PATH[,MOUNTPOINT[,ACCESS]]: a tar archive; / and ro, or wo")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  app.add_flag("--zvm-debug", options.has_debug_log, "The guest's library logs to ./zvsh.log");
  app.add_flag("--zvm-trace", options.has_trace,
               "zerovm logs stages and calls to ./zvsh.trace.log");
  app.add_option("--zvm-verbosity", options.verbosity, "Of the log of --zvm-debug")
      ->check(CLI::Range(0, 4));
  app.add_flag("--zvm-getrc", options.wants_host_code, "Exit with zerovm's code");
  app.add_option("--zvm-save-dir", options.save_directory,
                 "Keep manifest, nvram, output and report in this directory");
  app.add_flag("--gdb", options.waits_for_debugger,
               "Stop before the first instruction and print how to attach gdb");
  app.set_version_flag("--version", ZEROCLOUD_VERSION);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kStatusUsage;
  }
  for (const std::string& text : images) {
    const auto image = zerocloud::zvsh::ParseImage(text);
    if (!image) {
      fmt::print(stderr, "zvsh: {}\n", image.error().message);
      return kStatusUsage;
    }
    options.images.push_back(*image);
  }
  if (const auto set = SetCommand(options, app.remaining()); !set) {
    fmt::print(stderr, "zvsh: {}\n", set.error().message);
    return kStatusUsage;
  }
  return Run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {  // of the option parser; nothing of ours throws
    std::fprintf(stderr, "zvsh: %s\n", error.what());
    return kStatusUsage;
  }
}
