// Starts the session launcher as a process: for one session, or as a zygote. Thread-safe.
#pragma once

#include <sys/types.h>

#include <span>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {

// The launcher's file, open with O_PATH. It lies beside the running program, or in ../bin of it
// (test programs), or where it was installed. Opened once: every session of this process runs the
// same file.
Result<int> LauncherFile();

// Starts `launcher` with a copy of descriptors[i] as its descriptor i (all of them different) and
// nothing else but what is not close-on-exec here. `arguments` become argv. The calling thread
// becomes the parent and is stopped until the child has become the launcher. kUnavailable: no
// processes or no memory left.
Result<pid_t> SpawnLauncher(int launcher, std::span<const char* const> arguments,
                            std::span<const int> descriptors, UniqueFd& pidfd);

}  // namespace zerocloud::runtime
