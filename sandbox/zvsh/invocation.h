// Invocation: what one command line means, as the manifest and the nvram of a session. Pure: files
// are looked at by the caller (workplace.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "sandbox/zvsh/config.h"

namespace zerocloud::zvsh {

// What a guest reads of its nvram (sandbox/guest/posix/posix.h).
inline constexpr std::size_t kMaxNvramSize = 10240;

// One word behind the command.
struct Argument {
  enum class Kind : std::uint8_t {
    kText,      // handed on: `text`
    kFile,      // "@path": becomes a channel; `text` is the path
    kVariable,  // "@NAME=value": of the environment; `name`, `text`
  };
  Kind kind = Kind::kText;
  std::string name;
  std::string text;
  friend bool operator==(const Argument&, const Argument&) = default;
};

// "@@text" is the text "@text".
Argument ParseArgument(std::string_view word);

// A file of the host that becomes a channel.
struct HostFile {
  std::string path;      // absolute, and fit to stand in a manifest
  std::string basename;  // what the guest's name for it ends with
  bool is_writable = false;
};

enum class StreamKind : std::uint8_t { kFile, kPipe, kTerminal };

struct Stream {
  std::string path;  // where the session finds it
  StreamKind kind = StreamKind::kFile;
};

// Everything that a manifest needs. Paths are absolute and fit to stand in it.
struct Invocation {
  std::string program;
  std::string name;                 // argv[0]
  std::vector<Argument> arguments;  // in order; the i-th kFile among them is files[i]
  std::vector<HostFile> files;      // the same file may be there more than once: one channel
  std::vector<ImageOption> images;  // `path` absolute; ro and wo of one file are two channels
  Config config;                    // its images are not used
  Stream standard_input, standard_output, standard_error;
  std::string nvram_path;  // where ComposeNvram's text will be
  std::string debug_path;  // of the channel /dev/debug; empty: none
  int verbosity = -1;      // nvram's [debug]; negative: none
};

std::string ComposeManifest(const Invocation& invocation);

// kLimitExceeded when it is longer than a guest reads.
Result<std::string> ComposeNvram(const Invocation& invocation);

// Whether a path can stand in a manifest as it is: absolute, and without ',', ';', ':', '=', a line
// break, or white space at its end.
bool FitsManifest(std::string_view path);

}  // namespace zerocloud::zvsh
