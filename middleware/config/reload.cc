// What a running service can take over from a configuration that was read again.
#include <algorithm>
#include <array>

#include "middleware/config/options.h"

namespace zerocloud::config {
namespace {

// Those that tools::Service::Reload applies.
constexpr auto kReloadable = std::to_array<std::string_view>({
    "zerocloud.upstream",
    "server.tls_certificate",
    "server.tls_key",
    "server.request_line_bytes",
    "server.head_bytes",
    "server.head_fields",
    "server.pipelined_bytes",
    "server.drained_bytes",
    "server.connections",
    "server.idle_timeout_seconds",
    "server.head_timeout_seconds",
    "server.read_timeout_seconds",
    "server.write_timeout_seconds",
    "server.proxy_protocol",
    "healthcheck.disable_path",
    "proxy.tls_authorities",
    "proxy.connect_timeout_seconds",
    "proxy.response_timeout_seconds",
    "proxy.idle_connections",
    "proxy.connections",
    "proxy.left_out_seconds",
    "nodes.list",
    "nodes.attempts",
});

bool IsReloadable(const std::string& name) {
  return std::ranges::find(kReloadable, name) != kReloadable.end();
}

}  // namespace

Config Reloaded(const Config& running, const Config& read) {
  Config reloaded = running;
  for (const Option& option : Options()) {
    if (!IsReloadable(option.name())) continue;
    // It was accepted once.
    [[maybe_unused]] const Result<void> set = SetValue(reloaded, option, ValueIn(read, option));
  }
  return reloaded;
}

std::vector<std::string> Differ(const Config& running, const Config& read) {
  std::vector<std::string> names;
  for (const Option& option : Options()) {
    if (ValueIn(running, option) != ValueIn(read, option)) names.push_back(option.name());
  }
  if (running.users != read.users) names.emplace_back("users");
  return names;
}

std::vector<std::string> NeedRestart(const Config& running, const Config& read) {
  std::vector<std::string> names = Differ(running, read);
  std::erase_if(names, IsReloadable);
  return names;
}

}  // namespace zerocloud::config
