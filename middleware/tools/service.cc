#include "middleware/tools/service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "middleware/execution/execution_handler.h"
#include "middleware/http/text.h"
#include "middleware/node/engine.h"
#include "middleware/node/runner.h"
#include "middleware/operations/access_log.h"
#include "middleware/operations/gauges.h"
#include "middleware/operations/health_handler.h"
#include "middleware/operations/metrics.h"
#include "middleware/remote/nodes.h"
#include "middleware/server/server.h"
#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/embedded_object_store.h"
#include "middleware/store/swift_api.h"
#include "middleware/swift/replicas.h"
#include "middleware/tools/numbers.h"
#include "middleware/tools/upstream_store.h"
#include "middleware/upstream/curl_object_store.h"
#include "middleware/upstream/upstream_handler.h"

namespace zerocloud::tools {

// In the order of construction; destroyed from the end.
struct Service::Parts {
  config::Config config;   // as it was at the start
  config::Config running;  // with what was reloaded since
  std::string host;
  std::unique_ptr<operations::Statsd> statsd;  // may be null
  std::unique_ptr<operations::Metrics> metrics;
  // With a store:
  std::unique_ptr<store::DirectoryStore> directory;
  std::unique_ptr<store::Authenticator> authenticator;
  // With an upstream:
  std::unique_ptr<upstream::HttpClient> client;
  std::unique_ptr<upstream::ContainerPolicies> policies;
  UpstreamStore upstream_store;
  // With other nodes:
  std::unique_ptr<peer::KeyFile> keys;
  std::unique_ptr<swift::Replicas> replicas;
  std::unique_ptr<remote::Nodes> nodes;
  // With either:
  std::unique_ptr<store::Authorizer> asking_authorizer;  // null: the authenticator answers
  std::unique_ptr<http::Handler> storage;                // what answers all that is no job
  std::unique_ptr<store::ObjectStore> objects;           // that of the store, as jobs see it
  std::unique_ptr<node::Runner> runner;
  std::unique_ptr<node::Engine> engine;
  std::unique_ptr<execution::ExecutionHandler> handler;
  std::unique_ptr<operations::HealthHandler> health;  // in front of it
  std::unique_ptr<server::Server> server;
  std::unique_ptr<MetricsListener> metrics_listener;  // may be null
  std::unique_ptr<operations::Gauges> gauges;         // may be null

  Result<void> StartCounting(const std::string& version);
  void WatchEngineAndServer();
  Result<void> SendGauges();
  [[nodiscard]] std::size_t slots() const;
  Result<void> OpenStore(const std::string& version);
  Result<void> FindUpstream(const std::string& version);
  Result<void> FindNodes();
  Result<void> StartEngine();
  Result<void> Listen();
};

namespace {

using OnRequest = std::function<void(const server::RequestRecord&)>;

OnRequest RecordTo(const config::LogSection& log, operations::Metrics& metrics) {
  if (log.access == "json") {
    return [&metrics](const server::RequestRecord& record) {
      metrics.Count(record);
      operations::WriteLine(STDERR_FILENO, operations::JsonLine(record));
    };
  }
  if (log.access == "swift") {
    return [&metrics, shown = log.token_bytes](const server::RequestRecord& record) {
      metrics.Count(record);
      operations::WriteLine(STDERR_FILENO, operations::SwiftLine(record, shown));
    };
  }
  return [&metrics](const server::RequestRecord& record) { metrics.Count(record); };
}

server::Options ServerOptions(const config::Config& config, const config::Endpoint& endpoint) {
  const config::ServerSection& section = config.server;
  server::Options options;
  options.address = endpoint.host;
  options.port = endpoint.port;
  const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t enough = config.upstream.empty() ? processors + 2 : processors;
  options.threads = section.threads != 0 ? section.threads : enough;
  return options;
}

Result<server::Settings> ServerSettings(const config::Config& config) {
  using std::chrono::seconds;
  const config::ServerSection& section = config.server;
  server::Settings settings;
  settings.tls_certificate = section.tls_certificate;
  settings.tls_key = section.tls_key;
  settings.expects_proxy_header = section.proxy_protocol;
  settings.limits = {
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
  if (config.upstream.empty()) return settings;
  const auto urls = upstream::ParseUpstreamUrls(config.upstream);
  if (!urls.has_value()) return Fail(urls);
  const config::ProxySection& proxy = config.proxy;
  server::UpstreamOptions& forward_to = settings.upstream.emplace();
  for (const upstream::UpstreamUrl& url : *urls) {
    forward_to.endpoints.push_back({.host = url.host, .port = url.port, .is_tls = url.is_tls});
  }
  forward_to.connect_timeout = seconds(proxy.connect_timeout_seconds);
  forward_to.response_timeout = seconds(proxy.response_timeout_seconds);
  forward_to.left_out_for = seconds(proxy.left_out_seconds);
  forward_to.idle_connections = proxy.idle_connections;
  forward_to.connections = proxy.connections;
  forward_to.tls_authorities = proxy.tls_authorities;
  return settings;
}

node::EngineConfig EngineOptions(const config::Config& config) {
  const config::EngineSection& section = config.engine;
  node::EngineConfig options;
  options.slots = section.slots();
  options.workers = section.workers;
  options.jobs = section.jobs_at_once;
  options.gang_wait = std::chrono::seconds(section.gang_wait_seconds);
  options.programs = section.programs;
  options.spool_directory = section.spool_directory;
  options.spool_bytes = section.spool_bytes;
  options.wants_own_namespaces = section.own_namespaces;
  options.control_groups = section.control_groups;
  options.limits = config.jobs;
  options.is_fallback = config.nodes.fallback;
  return options;
}

Result<std::vector<remote::NodeAddress>> ListOfNodes(const config::Config& config) {
  std::vector<remote::NodeAddress> list;
  for (const std::string_view text : http::SplitTrimmed(config.nodes.list, ',')) {
    const Result<config::Endpoint> endpoint = config::ParseEndpoint(text);
    if (!endpoint.has_value()) {
      return Fail(endpoint.error().code, "nodes.list: " + endpoint.error().message);
    }
    list.push_back({endpoint->host, endpoint->port});
  }
  return list;
}

constexpr const char* kInfoName = "zerocloud";

// That section of /info.
std::string InfoSection(const config::Config& config, const std::string& version) {
  return fmt::format(
      R"({{"version": "{}", "execute": ["1.0"], "dialects": ["zerocloud/1.0"], "limits": {}}})",
      version, job::LimitsToJson(config.jobs));
}

std::vector<store::StoreUser> StoreUsers(const config::Config& config) {
  std::vector<store::StoreUser> users;
  users.reserve(config.users.size());
  for (const config::User& user : config.users) {
    users.push_back({user.account, user.user, user.key, user.is_admin, false});
  }
  return users;
}

}  // namespace

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Service::~Service() = default;

Result<void> Service::Parts::StartCounting(const std::string& version) {
  auto opened = OpenStatsd(config.statsd);
  if (!opened.has_value()) return Fail(opened);
  statsd = std::move(*opened);
  metrics = std::make_unique<operations::Metrics>(version, statsd.get());
  return {};
}

void Service::Parts::WatchEngineAndServer() {
  using operations::Sample;
  metrics->AddSource([this](std::vector<Sample>& samples) {
    const auto add = [&samples](std::string_view name, auto value, std::string labels = {}) {
      samples.emplace_back(name, std::move(labels), static_cast<double>(value));
    };
    const node::EngineStats stats = engine->stats();
    add("zerocloud_jobs", stats.jobs);
    add("zerocloud_sessions", stats.sessions);
    add("zerocloud_sessions_waiting", stats.waiting_sessions);
    add("zerocloud_session_slots", slots());
    if (nodes != nullptr) {
      const remote::NodesStats cluster = nodes->stats();
      add("zerocloud_nodes", cluster.up, "state=\"up\"");
      add("zerocloud_nodes", cluster.nodes - cluster.up, "state=\"down\"");
    }
    add("zerocloud_spool_bytes", stats.spool_bytes);
    add("zerocloud_spool_limit_bytes", stats.spool_limit);
    add("zerocloud_connections", server->connection_count());
    if (config.upstream.empty()) return;
    add("zerocloud_upstream_waiting", server->upstream_waiting());
    for (const server::UpstreamState& state : server->upstream_states()) {
      const std::string endpoint = fmt::format("endpoint=\"{}\"", state.endpoint);
      add("zerocloud_upstream_connections", state.idle, endpoint + ",state=\"idle\"");
      add("zerocloud_upstream_connections", state.in_use, endpoint + ",state=\"in_use\"");
      add("zerocloud_upstream_left_out", state.is_left_out ? 1 : 0, endpoint);
    }
  });
}

std::size_t Service::Parts::slots() const {
  return nodes != nullptr ? nodes->slots() : engine->stats().slots;
}

Result<void> Service::Parts::SendGauges() {
  if (statsd == nullptr) return {};
  const auto read = [this] {
    const node::EngineStats stats = engine->stats();
    operations::Gauges::Values values = {{"jobs", stats.jobs},
                                         {"sessions", stats.sessions},
                                         {"sessions_waiting", stats.waiting_sessions},
                                         {"slots", slots()},
                                         {"spool_bytes", stats.spool_bytes}};
    if (nodes == nullptr) return values;
    const remote::NodesStats cluster = nodes->stats();
    values.emplace_back("nodes", cluster.nodes);
    values.emplace_back("nodes_up", cluster.up);
    return values;
  };
  auto started =
      operations::Gauges::Start(*statsd, read, std::chrono::seconds(config.statsd.gauge_seconds));
  if (!started.has_value()) return Fail(started);
  gauges = std::move(*started);
  return {};
}

Result<void> Service::Parts::OpenStore(const std::string& version) {
  store::StoreOptions store_options;
  store_options.directory = config.store;
  store_options.max_object_size = config.storage.object_bytes;
  store_options.durability =
      config.storage.durable ? store::Durability::kPower : store::Durability::kProcess;
  auto opened = store::DirectoryStore::Open(std::move(store_options));
  if (!opened.has_value()) return Fail(opened);
  directory = std::move(*opened);
  auto created = store::Authenticator::Create(StoreUsers(config), store::SystemWallClock());
  if (!created.has_value()) return Fail(created);
  authenticator = std::move(*created);
  store::ApiOptions api_options;
  api_options.version = version;
  api_options.info_sections[kInfoName] = InfoSection(config, version);
  storage = std::make_unique<store::SwiftApi>(*directory, *authenticator, std::move(api_options));
  objects = std::make_unique<store::EmbeddedObjectStore>(*directory, *authenticator);
  return {};
}

Result<void> Service::Parts::FindUpstream(const std::string& version) {
  auto started = StartClient(config);
  if (!started.has_value()) return Fail(started);
  client = std::move(*started);
  storage = std::make_unique<upstream::UpstreamHandler>(*client, "", kInfoName,
                                                        InfoSection(config, version));
  policies = std::make_unique<upstream::ContainerPolicies>(
      [this](const store::Caller& caller, const std::string& account,
             const std::string& container) {
        return upstream::AskPolicy(*client, "", caller, account, container);
      },
      upstream::ContainerPolicies::Limits());
  auto opened = OpenUpstream(config, *client, policies.get());
  if (!opened.has_value()) return Fail(opened);
  upstream_store = std::move(*opened);
  asking_authorizer = std::make_unique<upstream::CurlAuthorizer>(*client, "");
  return config.nodes.list.empty() ? Result<void>() : FindNodes();
}

Result<void> Service::Parts::FindNodes() {
  auto opened_keys = peer::KeyFile::Open(config.nodes.key_file, peer::SystemSeconds(), Complain);
  if (!opened_keys.has_value()) return Fail(opened_keys);
  keys = std::move(*opened_keys);
  remote::NodesOptions options;
  auto list = ListOfNodes(config);
  if (!list.has_value()) return Fail(list);
  options.nodes = std::move(*list);
  if (!config.local.swift_dir.empty()) {
    auto opened = swift::Replicas::Open(config.local.swift_dir, Complain);
    if (!opened.has_value()) return Fail(opened);
    replicas = std::move(*opened);
    options.holders = [this](const store::Caller& caller, const store::ObjectPath& path) {
      std::optional<std::string> policy;
      if (replicas->has_several_policies()) {
        policy = policies->Of(caller, path.account, path.container);
      }
      return replicas->HostsOf(path, policy);
    };
  }
  const std::chrono::seconds silence(config.nodes.silence_seconds);
  options.patience = {.handshake = silence, .silence = silence};
  options.attempts = config.nodes.attempts;
  options.gang_wait = std::chrono::seconds(config.engine.gang_wait_seconds);
  options.log = Complain;
  auto started = remote::Nodes::Start(std::move(options), *keys);
  if (!started.has_value()) return Fail(started);
  nodes = std::move(*started);
  return {};
}

Result<void> Service::Parts::StartEngine() {
  runner = node::MakeSandboxRunner();
  store::ObjectStore& as_jobs_see = objects != nullptr ? *objects : upstream_store.objects();
  auto started = node::Engine::Start(EngineOptions(config), as_jobs_see, *runner, nodes.get());
  if (!started.has_value()) return Fail(started);
  engine = std::move(*started);
  store::Authorizer& authorizer =
      asking_authorizer != nullptr ? *asking_authorizer : *authenticator;
  const auto submit = [this](node::JobRequest request, std::function<void(node::JobResult)> done) {
    return engine->Submit(std::move(request),
                          [this, done = std::move(done)](node::JobResult result) {
                            metrics->Count(result);
                            done(std::move(result));
                          });
  };
  handler = std::make_unique<execution::ExecutionHandler>(*storage, authorizer, config.jobs, submit,
                                                          config.engine.workers);
  health = std::make_unique<operations::HealthHandler>(*handler, config.healthcheck.disable_path);
  return {};
}

Result<void> Service::Parts::Listen() {
  const Result<config::Endpoint> endpoint = config::ParseEndpoint(config.listen);
  if (!endpoint.has_value()) return Fail(endpoint);
  host = config.listen.substr(0, config.listen.rfind(':'));
  server::Options options = ServerOptions(config, *endpoint);
  auto settings = ServerSettings(config);
  if (!settings.has_value()) return Fail(settings);
  options.settings = std::move(*settings);
  options.on_request = RecordTo(config.log, *metrics);
  auto started = server::Server::Start(std::move(options), *health);
  if (!started.has_value()) return Fail(started);
  server = std::move(*started);
  return {};
}

Result<std::unique_ptr<Service>> Service::Start(const config::Config& config,
                                                const std::string& version) {
  auto parts = std::make_unique<Parts>();
  parts->config = config;
  parts->running = config;
  if (const auto counting = parts->StartCounting(version); !counting.has_value()) {
    return Fail(counting);
  }
  const Result<void> storage =
      config.store.empty() ? parts->FindUpstream(version) : parts->OpenStore(version);
  if (!storage.has_value()) return Fail(storage);
  if (const auto started = parts->StartEngine(); !started.has_value()) return Fail(started);
  if (const auto listening = parts->Listen(); !listening.has_value()) return Fail(listening);
  parts->WatchEngineAndServer();
  auto listener = MetricsListener::Start(
      config.metrics, [metrics = parts->metrics.get()] { return metrics->Text(); });
  if (!listener.has_value()) return Fail(listener);
  parts->metrics_listener = std::move(*listener);
  if (const auto sending = parts->SendGauges(); !sending.has_value()) return Fail(sending);
  return std::unique_ptr<Service>(new Service(std::move(parts)));
}

std::string Service::address() const {
  return fmt::format("{}:{}", parts_->host, parts_->server->port());
}

std::string Service::metrics_url() const {
  return parts_->metrics_listener == nullptr ? "" : parts_->metrics_listener->url();
}

Result<void> Service::Reload(const config::Config& config) {
  const config::Config& old = parts_->config;
  const bool is_same_kind = config.listen == old.listen && config.store == old.store &&
                            config.upstream.empty() == old.upstream.empty() &&
                            config.nodes.list.empty() == old.nodes.list.empty();
  if (!is_same_kind) {
    return Fail(
        ErrorCode::kConflict,
        "zerocloud.listen, zerocloud.store and whether there are a zerocloud.upstream and a "
        "nodes.list change only with a restart; nothing was changed.");
  }
  auto settings = ServerSettings(config);
  if (!settings.has_value()) return Fail(settings);
  const auto list = ListOfNodes(config);
  if (!list.has_value()) return Fail(list);
  const Result<void> changed = parts_->server->Change(std::move(*settings));
  if (!changed.has_value()) return Fail(changed);
  if (parts_->client != nullptr) {
    Result<upstream::ClientOptions> options = ClientOptionsOf(config);
    if (!options.has_value()) return Fail(options);
    parts_->client->Change(std::move(*options));
  }
  parts_->health->SetDisablePath(config.healthcheck.disable_path);
  if (parts_->nodes != nullptr) {
    const Result<void> others = parts_->nodes->Change(*list, config.nodes.attempts);
    if (!others.has_value()) return Fail(others);
  }
  for (const std::string& name : config::NeedRestart(parts_->running, config)) {
    Complain(name + " has changed, which takes effect with a restart");
  }
  parts_->running = config::Reloaded(parts_->running, config);
  return {};
}

void Service::Stop() {
  parts_->server->Stop(std::chrono::seconds(parts_->config.server.stop_grace_seconds));
}

}  // namespace zerocloud::tools
