// zerovm MANIFEST: runs one session as a manifest describes it, prints its report, and exits with a
// HostStatus.
#include <csignal>
#include <cstdio>
#include <exception>

#include "channels/host_status.h"
#include "sandbox/tools/zerovm_options.h"

int main(int argc, char** argv) {
  // A file that would become too long is an error of the write; so is a reader that has gone.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    int exit_code = 0;
    const auto options = zerocloud::tools::ParseCommandLine(argc, argv, exit_code);
    return options ? zerocloud::tools::Perform(*options) : exit_code;
  } catch (const std::exception& error) {  // of the option parser; nothing of ours throws
    std::fprintf(stderr, "zerovm: %s\n", error.what());
    return static_cast<int>(zerocloud::channels::HostStatus::kIo);
  }
}
