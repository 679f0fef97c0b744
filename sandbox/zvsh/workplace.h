// Workplace: the directory with the files of one run, and what the command line names, found there
// or on the host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "sandbox/zvsh/invocation.h"

namespace zerocloud::zvsh {

// Names of the files, as ZeroVM's zvsh had them; report.1 (JSON) and gdb.1 are new.
inline constexpr std::string_view kManifestName = "manifest.1", kNvramName = "nvram.1",
                                  kProgramName = "boot.1", kInputName = "stdin.1",
                                  kOutputName = "stdout.1", kErrorName = "stderr.1",
                                  kReportName = "report.1", kGdbName = "gdb.1";

// Owns the directory: a fresh one that goes with it, or the caller's, which stays.
class Workplace {
 public:
  // An empty `save_directory`: a fresh one below $TMPDIR. kConflict: one of the files above is
  // there already.
  static Result<Workplace> Make(const std::string& save_directory);

  Workplace(Workplace&& other) noexcept;
  Workplace& operator=(Workplace&&) = delete;
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace();

  [[nodiscard]] bool is_kept() const { return is_kept_; }
  [[nodiscard]] std::string Path(std::string_view name) const;
  // Makes a file of the directory; it must not be there.
  [[nodiscard]] Result<void> Write(std::string_view name, std::string_view text) const;
  [[nodiscard]] Result<void> MakeFifo(std::string_view name) const;
  // `path`, absolute; or a link of the directory to it, if it cannot stand in a manifest.
  Result<std::string> Fit(const std::string& path);

 private:
  Workplace(std::string directory, bool is_kept)
      : directory_(std::move(directory)), is_kept_(is_kept) {}

  std::string directory_;
  bool is_kept_;
  std::size_t links_ = 0;
};

// The configuration files ./zvsh.cfg, ~/.zvsh.cfg and /etc/zvsh.cfg that are there; what an earlier
// one says counts.
Result<Config> ReadConfigFiles();

// Looks up everything that `command`, `arguments` and `images` name: a file that an "@path" names
// is made if it is not there; a command that is no file of the host is taken from the first image
// that has it (as boot.1). Streams, nvram, debug and verbosity are left to the caller. An image
// that is mounted and written becomes, when written, `path` + ".new": the caller moves it.
Result<Invocation> Resolve(Workplace& workplace, const std::string& command,
                           const std::vector<std::string>& arguments, const Config& config);

}  // namespace zerocloud::zvsh
