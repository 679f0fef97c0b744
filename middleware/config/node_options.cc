// What of a configuration `zerocloud node` reads; the rest is of `zerocloud serve`.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "middleware/config/config.h"
#include "middleware/config/options.h"

namespace zerocloud::config {
namespace {

// Those that tools::NodeService uses: options, and sections of which it uses all.
constexpr auto kOfNode = std::to_array<std::string_view>({
    "zerocloud.upstream",
    "server.connections",
    "metrics",
    "statsd",
    "storage.object_bytes",
    "proxy.tls_authorities",
    "proxy.connect_timeout_seconds",
    "proxy.response_timeout_seconds",
    "proxy.requests_at_once",
    "proxy.asked_from_bytes",
    "local",
    "engine.spool_directory",
    "engine.control_groups",
    "engine.sessions_at_once",
    "engine.programs",
    "engine.own_namespaces",
    "engine.spool_bytes",
    "nodes.key_file",
    "nodes.silence_seconds",
    "node",
    "jobs.program_bytes",
    "jobs.memory_bytes",
    "jobs.timeout_seconds",
});

bool IsOfNode(const Option& option) {
  return std::ranges::find(kOfNode, option.section) != kOfNode.end() ||
         std::ranges::find(kOfNode, option.name()) != kOfNode.end();
}

}  // namespace

std::vector<std::string> UnusedByNode(const Settings& settings) {
  std::vector<std::string> names;
  for (const Option& option : Options()) {
    const bool is_to_be_the_same = option.section == "jobs";
    if (IsOfNode(option) || is_to_be_the_same || !settings.origins.contains(option.name())) {
      continue;
    }
    names.push_back(option.name());
  }
  return names;
}

std::string NodeManual() {
  std::string text = "| section | options |\n|---|---|\n";
  for (const SectionDescription& section : Sections()) {
    std::vector<std::string> used;
    bool is_whole = true;
    for (const Option& option : Options()) {
      if (option.section != section.name) continue;
      if (IsOfNode(option)) used.push_back("`" + option.key + "`");
      is_whole = is_whole && IsOfNode(option);
    }
    if (used.empty()) continue;
    text += fmt::format("| `[{}]` | {} |\n", section.name,
                        is_whole ? "all" : fmt::format("{}", fmt::join(used, ", ")));
  }
  return text;
}

}  // namespace zerocloud::config
