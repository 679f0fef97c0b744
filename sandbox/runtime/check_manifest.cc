// CheckManifestFile: see run_manifest.h.
#include <fmt/format.h>

#include <span>
#include <utility>

#include "channels/open_channel.h"
#include "sandbox/runtime/prepare_run.h"
#include "sandbox/runtime/run_manifest.h"

namespace zerocloud::runtime {
namespace {

using channels::HostError;
using channels::HostStatus;

class Findings {
 public:
  explicit Findings(std::string path) : path_(std::move(path)) {}

  void AddError(std::size_t line, const HostError& error) {
    if (found_.status == HostStatus::kOk) found_.status = error.status;
    Add(line, "error", WithoutLine(error.error.message, line));
  }
  void AddWarning(const ManifestWarning& warning) { Add(warning.line, "warning", warning.message); }
  [[nodiscard]] bool has_errors() const { return found_.status != HostStatus::kOk; }
  ManifestFindings Take() { return std::move(found_); }

 private:
  // The line stands in front already.
  static std::string_view WithoutLine(std::string_view message, std::size_t line) {
    for (const std::string& prefix :
         {fmt::format("MANIFEST {}: ", line), std::string("MANIFEST: ")}) {
      if (message.starts_with(prefix)) return message.substr(prefix.size());
    }
    return message;
  }
  void Add(std::size_t line, std::string_view kind, std::string_view message) {
    const std::string place = line > 0 ? fmt::format("{}:{}", path_, line) : path_;
    found_.text += fmt::format("{}: {}: {}\n", place, kind, message);
  }

  std::string path_;
  ManifestFindings found_;
};

// CheckExtensions() is about one line or the other.
std::size_t LineOf(const HostError& error, const Manifest& manifest) {
  const bool is_mapped = error.error.message.contains(": Mapped: ");
  return is_mapped ? manifest.mapped_line : manifest.readiness_line;
}

// What the text alone does not tell.
void CheckHost(const Manifest& manifest, Findings& findings) {
  const auto program = LoadProgram(manifest, nullptr);
  if (!program) findings.AddError(manifest.program_line, program.error());
  bool is_every_one_good = true;
  for (const channels::ChannelSpec& spec : manifest.channels) {
    const auto checked = channels::CheckChannels(std::span(&spec, 1));
    if (checked) continue;
    is_every_one_good = false;
    findings.AddError(spec.line, checked.error());
  }
  if (!is_every_one_good) return;
  const auto together = channels::CheckChannels(manifest.channels);
  if (!together) return findings.AddError(0, together.error());
  if (auto good = CheckExtensions(manifest, *together); !good) {
    findings.AddError(LineOf(good.error(), manifest), good.error());
  }
  if (!program) return;
  if (auto good = CheckMemory(manifest, program->image->layout(), *together); !good) {
    findings.AddError(manifest.memory_line, good.error());
  }
}

}  // namespace

ManifestFindings CheckManifestFile(const std::string& manifest_path) {
  Findings findings(manifest_path);
  const auto text = ReadManifestFile(manifest_path);
  if (!text) {
    findings.AddError(0, text.error());
    return findings.Take();
  }
  const ManifestCheck check = CheckManifest(*text);
  for (const auto& mistake : check.errors) findings.AddError(mistake.line, mistake.error);
  for (const ManifestWarning& warning : check.warnings) findings.AddWarning(warning);
  if (findings.has_errors()) return findings.Take();
  if (const auto manifest = ParseManifest(*text); manifest) CheckHost(*manifest, findings);
  return findings.Take();
}

}  // namespace zerocloud::runtime
