#include "middleware/tools/node_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "middleware/operations/gauges.h"
#include "middleware/operations/node_metrics.h"
#include "middleware/remote/node_server.h"
#include "middleware/tools/numbers.h"
#include "middleware/tools/upstream_store.h"

namespace zerocloud::tools {

// In the order of construction; destroyed from the end.
struct NodeService::Parts {
  config::Config config;
  std::string host;
  std::unique_ptr<peer::KeyFile> keys;
  std::unique_ptr<upstream::HttpClient> client;
  UpstreamStore store;
  std::unique_ptr<operations::Statsd> statsd;  // may be null
  std::unique_ptr<operations::NodeMetrics> metrics;
  std::unique_ptr<node::Runner> sandbox;
  std::unique_ptr<node::Runner> runner;  // counts what that one runs
  std::unique_ptr<remote::NodeServer> server;
  std::unique_ptr<MetricsListener> metrics_listener;  // may be null
  std::unique_ptr<operations::Gauges> gauges;         // may be null

  Result<void> StartCounting(const std::string& version);
  void WatchServer();
  Result<void> SendGauges();
};

namespace {

remote::NodeOptions NodeOptions(const config::Config& config, const config::Endpoint& endpoint) {
  const config::EngineSection& section = config.engine;
  remote::NodeOptions options;
  options.host = endpoint.host;
  options.port = endpoint.port;
  options.slots = section.slots();
  options.waiting = config.node.waiting;
  options.connections = config.server.connections;
  options.programs = section.programs;
  options.spool_directory = section.spool_directory;
  options.spool_bytes = section.spool_bytes;
  options.wants_own_namespaces = section.own_namespaces;
  options.control_groups = section.control_groups;
  const std::chrono::seconds silence(config.nodes.silence_seconds);
  options.patience = {.handshake = silence, .silence = silence};
  options.limits = config.jobs;
  options.log = Complain;
  return options;
}

}  // namespace

Result<void> NodeService::Parts::StartCounting(const std::string& version) {
  auto opened = OpenStatsd(config.statsd);
  if (!opened.has_value()) return Fail(opened);
  statsd = std::move(*opened);
  metrics = std::make_unique<operations::NodeMetrics>(version, statsd.get());
  sandbox = node::MakeSandboxRunner();
  runner = std::make_unique<operations::CountingRunner>(*sandbox, *metrics);
  return {};
}

void NodeService::Parts::WatchServer() {
  metrics->AddSource([this](std::vector<operations::Sample>& samples) {
    const auto add = [&samples](std::string_view name, auto value) {
      samples.emplace_back(name, "", static_cast<double>(value));
    };
    const remote::NodeStats stats = server->stats();
    // Counted one after the other, so one that starts in between is in both.
    const std::size_t running = std::min(metrics->running(), stats.sessions);
    add("zerocloud_node_sessions_waiting", stats.sessions - running);
    add("zerocloud_node_session_slots", stats.slots);
    add("zerocloud_node_connections", stats.connections);
    add("zerocloud_node_holds", stats.holds);
    add("zerocloud_node_spool_bytes", stats.spool_bytes);
    add("zerocloud_node_spool_limit_bytes", config.engine.spool_bytes);
  });
}

Result<void> NodeService::Parts::SendGauges() {
  if (statsd == nullptr) return {};
  const auto read = [this] {
    const remote::NodeStats stats = server->stats();
    return operations::Gauges::Values{{"node.sessions", stats.sessions},
                                      {"node.slots", stats.slots},
                                      {"node.connections", stats.connections},
                                      {"node.holds", stats.holds},
                                      {"node.spool_bytes", stats.spool_bytes}};
  };
  auto started =
      operations::Gauges::Start(*statsd, read, std::chrono::seconds(config.statsd.gauge_seconds));
  if (!started.has_value()) return Fail(started);
  gauges = std::move(*started);
  return {};
}

NodeService::NodeService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
NodeService::~NodeService() = default;

Result<std::unique_ptr<NodeService>> NodeService::Start(const config::Config& config,
                                                        const std::string& version) {
  if (config.upstream.empty() || config.nodes.key_file.empty()) {
    return Fail(ErrorCode::kInvalid, "A node needs zerocloud.upstream and nodes.key_file.");
  }
  const Result<config::Endpoint> endpoint = config::ParseEndpoint(config.node.listen);
  if (!endpoint.has_value())
    return Fail(endpoint.error().code, "node.listen: " + endpoint.error().message);
  auto parts = std::make_unique<Parts>();
  parts->config = config;
  parts->host = config.node.listen.substr(0, config.node.listen.rfind(':'));
  auto keys = peer::KeyFile::Open(config.nodes.key_file, peer::SystemSeconds(), Complain);
  if (!keys.has_value()) return Fail(keys);
  parts->keys = std::move(*keys);
  auto client = StartClient(config);
  if (!client.has_value()) return Fail(client);
  parts->client = std::move(*client);
  auto opened = OpenUpstream(config, *parts->client);
  if (!opened.has_value()) return Fail(opened);
  parts->store = std::move(*opened);
  if (const auto counting = parts->StartCounting(version); !counting.has_value()) {
    return Fail(counting);
  }
  auto server = remote::NodeServer::Start(NodeOptions(config, *endpoint), *parts->keys,
                                          parts->store.objects(), *parts->runner);
  if (!server.has_value()) return Fail(server);
  parts->server = std::move(*server);
  parts->WatchServer();
  auto listener = MetricsListener::Start(
      config.metrics, [metrics = parts->metrics.get()] { return metrics->Text(); });
  if (!listener.has_value()) return Fail(listener);
  parts->metrics_listener = std::move(*listener);
  if (const auto sending = parts->SendGauges(); !sending.has_value()) return Fail(sending);
  return std::unique_ptr<NodeService>(new NodeService(std::move(parts)));
}

std::string NodeService::address() const {
  return fmt::format("{}:{}", parts_->host, parts_->server->port());
}

std::string NodeService::metrics_url() const {
  return parts_->metrics_listener == nullptr ? "" : parts_->metrics_listener->url();
}

void NodeService::Compare(const config::Config& config) const {
  for (const std::string& name : config::Differ(parts_->config, config)) {
    Complain(name + " has changed, which takes effect with a restart");
  }
}

void TellUnused(const config::Settings& settings) {
  const std::vector<std::string> unused = config::UnusedByNode(settings);
  if (!unused.empty()) {
    Complain(fmt::format("warning: a node does not use {}", fmt::join(unused, ", ")));
  }
}

}  // namespace zerocloud::tools
