#include "middleware/tools/service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "middleware/server/server.h"
#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/swift_api.h"
#include "middleware/tools/request_log.h"

namespace zerocloud::tools {

// In the order of construction; destroyed from the end.
struct Service::Parts {
  config::Config config;
  std::string host;
  std::unique_ptr<store::DirectoryStore> directory;
  std::unique_ptr<store::Authenticator> authenticator;
  std::unique_ptr<http::Handler> storage;
  std::unique_ptr<server::Server> server;
};

namespace {

server::Options ServerOptions(const config::Config& config, const config::Endpoint& endpoint) {
  using std::chrono::seconds;
  const config::ServerSection& section = config.server;
  server::Options options;
  options.address = endpoint.host;
  options.port = endpoint.port;
  options.threads = section.threads;
  options.limits = {
      .request_line_bytes = section.request_line_bytes,
      .head_bytes = section.head_bytes,
      .head_fields = section.head_fields,
      .pipelined_bytes = section.pipelined_bytes,
      .drained_bytes = section.drained_bytes,
      .connections = section.connections,
      .idle_timeout = seconds(section.idle_timeout_seconds),
      .head_timeout = seconds(section.head_timeout_seconds),
      .read_timeout = seconds(section.read_timeout_seconds),
      .write_timeout = seconds(section.write_timeout_seconds),
  };
  if (config.log == "requests") {
    options.on_request = [](const server::RequestRecord& record) {
      LogRequest(STDERR_FILENO, record);
    };
  }
  return options;
}

// The section "zerocloud" of /info.
std::string InfoSection(const config::Config& config, const std::string& version) {
  return fmt::format(R"({{"version": "{}", "execute": ["1.0"], "limits": {}}})", version,
                     job::LimitsToJson(config.jobs));
}

std::vector<store::StoreUser> StoreUsers(const config::Config& config) {
  std::vector<store::StoreUser> users;
  for (const config::User& user : config.users) {
    users.push_back({user.account, user.user, user.key, user.is_admin, false});
  }
  return users;
}

}  // namespace

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Service::~Service() = default;

Result<std::unique_ptr<Service>> Service::Start(const config::Config& config, std::string version) {
  auto parts = std::make_unique<Parts>();
  parts->config = config;
  const Result<config::Endpoint> endpoint = config::ParseEndpoint(config.listen);
  if (!endpoint.has_value()) return Fail(endpoint);
  parts->host = config.listen.substr(0, config.listen.rfind(':'));

  store::StoreOptions store_options;
  store_options.directory = config.store;
  store_options.max_object_size = config.storage.object_bytes;
  auto directory = store::DirectoryStore::Open(std::move(store_options));
  if (!directory.has_value()) return Fail(directory);
  parts->directory = std::move(*directory);
  auto authenticator = store::Authenticator::Create(StoreUsers(config), store::SystemWallClock());
  if (!authenticator.has_value()) return Fail(authenticator);
  parts->authenticator = std::move(*authenticator);
  store::ApiOptions api_options;
  api_options.info_sections["zerocloud"] = InfoSection(config, version);
  api_options.version = std::move(version);
  parts->storage = std::make_unique<store::SwiftApi>(*parts->directory, *parts->authenticator,
                                                     std::move(api_options));

  auto server = server::Server::Start(ServerOptions(config, *endpoint), *parts->storage);
  if (!server.has_value()) return Fail(server);
  parts->server = std::move(*server);
  return std::unique_ptr<Service>(new Service(std::move(parts)));
}

std::string Service::address() const {
  return fmt::format("{}:{}", parts_->host, parts_->server->port());
}

void Service::Stop() {
  parts_->server->Stop(std::chrono::seconds(parts_->config.server.stop_grace_seconds));
}

}  // namespace zerocloud::tools
