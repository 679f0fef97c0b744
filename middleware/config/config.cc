#include "middleware/config/config.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <thread>
#include <utility>

namespace zerocloud::config {
namespace {

std::unexpected<Error> FailAt(std::string_view option, std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", option, sentence));
}

}  // namespace

std::size_t EngineSection::slots() const {
  return sessions_at_once != 0 ? sessions_at_once
                               : std::max(2U, std::thread::hardware_concurrency());
}

Result<User> ParseUser(std::string_view text) {
  std::array<std::string_view, 4> parts;
  std::size_t count = 0;
  for (std::string_view rest = text;; ++count) {
    if (count == parts.size()) {
      return Fail(ErrorCode::kInvalid, "a user is account:user:key or account:user:key:admin");
    }
    const std::size_t colon = rest.find(':');
    parts[count] = rest.substr(0, colon);
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  ++count;
  const bool is_whole = count >= 3 && !parts[0].empty() && !parts[1].empty() && !parts[2].empty();
  if (!is_whole || (count == 4 && parts[3] != "admin")) {
    return Fail(ErrorCode::kInvalid, "a user is account:user:key or account:user:key:admin");
  }
  return User{std::string(parts[0]), std::string(parts[1]), std::string(parts[2]), count == 4};
}

Result<Endpoint> ParseEndpoint(std::string_view text) {
  const auto fail = [&] {
    return Fail(ErrorCode::kInvalid,
                fmt::format("\"{}\" is not a numeric address and a port, like 127.0.0.1:8080 or "
                            "[::1]:8080.",
                            text));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail();
  std::string host(text.substr(0, colon));
  const std::string_view port_text = text.substr(colon + 1);
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  std::array<unsigned char, 16> address{};
  if (::inet_pton(is_bracketed ? AF_INET6 : AF_INET, host.c_str(), address.data()) != 1) {
    return fail();
  }
  Endpoint endpoint{std::move(host), 0};
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), endpoint.port);
  if (port_text.empty() || error != std::errc() || end != port_text.data() + port_text.size()) {
    return fail();
  }
  return endpoint;
}

Result<void> Check(const Config& config) {
  const Result<Endpoint> endpoint = ParseEndpoint(config.listen);
  if (!endpoint.has_value()) return FailAt("zerocloud.listen", endpoint.error().message);
  if (!config.metrics.listen.empty()) {
    const Result<Endpoint> metrics = ParseEndpoint(config.metrics.listen);
    if (!metrics.has_value()) return FailAt("metrics.listen", metrics.error().message);
  }
  if (!config.metrics.path.starts_with('/')) {
    return FailAt("metrics.path", "A path begins with '/'.");
  }
  constexpr std::string_view kNoName = ":|@# \t";  // what ends a name in a StatsD datagram
  if (config.statsd.prefix.find_first_of(kNoName) != std::string::npos) {
    return FailAt("statsd.prefix", "It cannot hold ':', '|', '@', '#' or space.");
  }
  if (config.store.empty() == config.upstream.empty()) {
    return Fail(ErrorCode::kInvalid,
                "Exactly one of zerocloud.store (a directory) and zerocloud.upstream (a URL) must "
                "be set.");
  }
  if (config.server.tls_certificate.empty() != config.server.tls_key.empty()) {
    return FailAt("server.tls_key", "A certificate and its key must be set together.");
  }
  if (!config.upstream.empty() && !config.users.empty()) {
    return FailAt("users", "With an upstream, its own users count; list none here.");
  }
  if (!config.nodes.list.empty() && (config.upstream.empty() || config.nodes.key_file.empty())) {
    return FailAt("nodes.list", "Nodes need zerocloud.upstream and nodes.key_file.");
  }
  // A proxy with nodes may read the rings without having devices.
  const bool reads_rings_only = config.local.devices.empty() && !config.nodes.list.empty();
  if (!reads_rings_only && config.local.devices.empty() != config.local.swift_dir.empty()) {
    return FailAt(
        "local.swift_dir",
        "The devices and the directory of swift.conf and the rings must be set together.");
  }
  if (!config.local.devices.empty() && config.upstream.empty()) {
    return FailAt("local.devices", "Devices are Swift's; set zerocloud.upstream too.");
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const User& user : config.users) {
    const std::string pointer = fmt::format("users {}:{}", user.account, user.user);
    if (user.account.empty() || user.user.empty() || user.key.empty()) {
      return FailAt(pointer, "A user needs account, user and key.");
    }
    if (user.account.find_first_of(":/") != std::string::npos ||
        user.user.find_first_of(":/") != std::string::npos) {
      return FailAt(pointer, "Account and user cannot hold ':' or '/'.");
    }
    if (!seen.emplace(user.account, user.user).second) {
      return FailAt(pointer, "This one is listed twice.");
    }
  }
  return {};
}

}  // namespace zerocloud::config
