// What the service listens on, sends to and keeps.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "channels/base/unique_fd.h"
#include "middleware/doctor/checks.h"
#include "middleware/operations/statsd.h"
#include "middleware/server/server.h"

namespace zerocloud::doctor {
namespace {

// Nothing is ever asked of it.
class NoHandler : public http::Handler {
 public:
  Begun Begin(const http::RequestHead&) override { return http::Response(); }
};

// 0, or why the address cannot be bound.
int BindError(const config::Endpoint& endpoint) {
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  const bool is_v6 = ::inet_pton(AF_INET6, endpoint.host.c_str(), &v6.sin6_addr) == 1;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(endpoint.port);
  ::inet_pton(AF_INET, endpoint.host.c_str(), &v4.sin_addr);
  const UniqueFd socket(::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return errno;
  const int one = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const void* address = is_v6 ? static_cast<const void*>(&v6) : &v4;
  const bool is_bound = ::bind(socket.get(), static_cast<const sockaddr*>(address),
                               is_v6 ? sizeof v6 : sizeof v4) == 0;
  return is_bound ? 0 : errno;
}

}  // namespace

void CheckAddress(const std::string& check, const std::string& option, const std::string& listen,
                  Findings& findings) {
  const Result<config::Endpoint> endpoint = config::ParseEndpoint(listen);
  if (!endpoint.has_value()) {
    findings.push_back({check, State::kWrong, option + ": " + endpoint.error().message, ""});
    return;
  }
  const int error = BindError(*endpoint);
  if (error == 0) {
    findings.push_back({check, State::kGood, listen + " can be listened on", ""});
  } else if (error == EADDRINUSE) {
    findings.push_back({check, State::kWarning, listen + " is listened on already",
                        "nothing, if that is this service running; else choose another " + option});
  } else if (error == EACCES) {
    findings.push_back({check, State::kWrong, listen + " may not be listened on by this user",
                        "a port from 1024 on, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the "
                        "systemd unit"});
  } else {
    findings.push_back({check, State::kWrong,
                        fmt::format("{} cannot be listened on: {}", listen,
                                    ErrnoError("", error).message.substr(2)),
                        "an address of this host in " + option});
  }
}

void CheckListen(const config::Config& config, Findings& findings) {
  if (IsNode(config)) {
    findings.push_back({"listen", State::kSkipped, "a node listens on node.listen, below", ""});
    return;
  }
  CheckAddress("listen", "zerocloud.listen", config.listen, findings);
}

void CheckTls(const config::Config& config, Findings& findings) {
  const config::ServerSection& section = config.server;
  if (IsNode(config)) {
    findings.push_back({"tls", State::kSkipped, "nodes and proxies know each other by keys", ""});
    return;
  }
  if (section.tls_certificate.empty()) {
    findings.push_back({"tls", State::kSkipped, "server.tls_certificate is not set", ""});
    return;
  }
  server::Options options;
  options.address.clear();
  options.threads = 1;
  options.settings.tls_certificate = section.tls_certificate;
  options.settings.tls_key = section.tls_key;
  NoHandler handler;
  const auto started = server::Server::Start(std::move(options), handler);
  if (!started.has_value()) {
    findings.push_back({"tls", State::kWrong, started.error().message,
                        "a PEM file with the certificate and its chain, one with its key, both "
                        "readable for the service's user"});
    return;
  }
  struct stat facts{};
  const bool is_open =
      ::stat(section.tls_key.c_str(), &facts) == 0 && (facts.st_mode & S_IROTH) != 0;
  findings.push_back(
      {"tls", is_open ? State::kWarning : State::kGood,
       is_open ? "everybody on this host may read " + section.tls_key : "certificate and key fit",
       is_open ? "chmod o-r" : ""});
}

void CheckMetrics(const config::Config& config, Findings& findings) {
  if (config.metrics.listen.empty()) {
    findings.push_back({"metrics", State::kSkipped, "metrics.listen is not set", ""});
  } else {
    CheckAddress("metrics", "metrics.listen", config.metrics.listen, findings);
  }
  const config::StatsdSection& section = config.statsd;
  if (section.host.empty()) {
    findings.push_back({"statsd", State::kSkipped, "statsd.host is not set", ""});
    return;
  }
  const auto statsd = operations::Statsd::Open({.host = section.host,
                                                .port = static_cast<std::uint16_t>(section.port),
                                                .prefix = section.prefix});
  if (statsd.has_value()) {
    findings.push_back({"statsd", State::kGood, section.host + " has an address", ""});
  } else {
    findings.push_back({"statsd", State::kWrong, statsd.error().message,
                        "an address, or a name that this host can look up"});
  }
}

void CheckStore(const config::Config& config, Findings& findings) {
  if (config.store.empty()) {
    findings.push_back({"store", State::kSkipped, "zerocloud.store is not set", ""});
    return;
  }
  std::error_code error;
  std::filesystem::path directory = std::filesystem::absolute(config.store, error);
  const bool is_there = std::filesystem::is_directory(directory, error);
  // It is made when the service starts; what must be there is what is above it.
  if (!is_there) directory = directory.parent_path();
  if (::access(directory.c_str(), W_OK | X_OK) == 0 &&
      (is_there || !std::filesystem::exists(config.store, error))) {
    findings.push_back(
        {"store", State::kGood, config.store + (is_there ? " is writable" : " will be made"), ""});
    return;
  }
  findings.push_back({"store", State::kWrong,
                      config.store + " is no directory that this user can write",
                      "make it, owned by the service's user; under systemd StateDirectory= does"});
}

}  // namespace zerocloud::doctor
