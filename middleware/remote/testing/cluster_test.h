// A cluster in one process, for tests: a proxy's engine, honest nodes with fake sandboxes, and
// nodes that do what a script says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "middleware/node/engine.h"
#include "middleware/node/testing/fake_runner.h"
#include "middleware/node/testing/fake_store.h"
#include "middleware/node/testing/jobs.h"
#include "middleware/peer/testing/keys_on_disk.h"
#include "middleware/remote/node_server.h"
#include "middleware/remote/nodes.h"
#include "middleware/remote/testing/scripted_node.h"

namespace zerocloud::remote {

using node::JobResult;
using node::kStdout;
using peer::FrameKind;

inline std::string G(std::string_view name, std::string_view args, std::string_view devices = "",
                     std::string_view more = "") {
  return node::GroupOf("p", name, args, devices, more);
}
inline constexpr std::string_view kInputs =
    R"({"name": "stdin", "path": "swift://~/in/*"}, {"name": "stdout"})";

// A node of its own in the cluster: its sandbox, and its server while it is up.
struct TestNode {
  node::FakeRunner runner;
  std::unique_ptr<NodeServer> server;
};

// Nodes are on 127.0.0.2, 127.0.0.3, ...
class ClusterTest : public testing::Test {
 protected:
  ClusterTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string name = testing::TempDir() + "/nodes-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    keys = key_files_.Open(peer::KeysOnDisk::Line("one", "5a"));
    store.objects["bin/p"] = "a program";
    store.objects["in/a"] = "1";
    store.objects["in/b"] = "22";
    store.objects["in/c"] = "55555";
    config.spool_directory = directory_;
    config.workers = 2;
    options.patience = {std::chrono::minutes(1), std::chrono::minutes(1)};
    options.holders = [this](const store::Caller& caller, const store::ObjectPath& path) {
      EXPECT_EQ(caller.token, "t");
      const auto found = holders.find(path.object);  // called by the threads of sessions
      return found == holders.end() ? std::vector<std::string>() : found->second;
    };
    node_options.slots = 2;
  }
  ~ClusterTest() override {
    engine.reset();
    cluster.reset();
    scripted.clear();
    nodes.clear();
    EXPECT_EQ(local.alive(), 0);
    EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "files left in the spool";
    std::filesystem::remove_all(directory_);
  }

  std::string NextHost() { return "127.0.0." + std::to_string(options.nodes.size() + 2); }
  TestNode& AddNode() {
    auto& added = *nodes.emplace_back(std::make_unique<TestNode>());
    NodeOptions chosen = node_options;
    chosen.host = NextHost();
    chosen.spool_directory = directory_;
    chosen.patience = options.patience;
    auto server = NodeServer::Start(std::move(chosen), *keys, *node_store, added.runner);
    EXPECT_TRUE(server.has_value()) << server.error().message;
    added.server = std::move(*server);
    options.nodes.push_back({NextHost(), added.server->port()});
    return added;
  }
  ScriptedNode& AddScripted(ScriptedNode::Script script, ScriptedNode::Orders orders = {}) {
    const std::string host = NextHost();
    // Many slots, so that it is chosen first where nothing else decides.
    auto& added = *scripted.emplace_back(
        std::make_unique<ScriptedNode>(host, *keys, 100, std::move(script), std::move(orders)));
    options.nodes.push_back({host, added.port()});
    holders["x"].push_back(host);
    return added;
  }
  [[nodiscard]] std::string NameOf(std::size_t node) const {
    return options.nodes[node].host + ":" + std::to_string(options.nodes[node].port);
  }

  void Start() {
    if (engine) return;
    Result<std::unique_ptr<Nodes>> started = Nodes::Start(options, *keys);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    cluster = std::move(*started);
    auto running = node::Engine::Start(config, store, local, cluster.get());
    ASSERT_TRUE(running.has_value()) << running.error().message;
    engine = std::move(*running);
  }
  [[nodiscard]] node::JobRequest Request(const std::string& groups) const {
    return node::RequestOf(groups, config.limits);
  }
  JobResult Run(const std::string& groups) {
    Start();
    std::promise<JobResult> promise;
    const std::unique_ptr<node::JobHandle> handle = engine->Submit(
        Request(groups), [&](JobResult ended) { promise.set_value(std::move(ended)); });
    JobResult result = promise.get_future().get();
    engine->WaitUntilIdle();
    body.clear();
    std::string buffer(100, '\0');
    while (result.body) {
      const std::span<char> span(buffer);
      const Result<std::size_t> got = result.body->Read(std::as_writable_bytes(span));
      if (!got || *got == 0) break;
      body += buffer.substr(0, *got);
    }
    result.body.reset();
    EXPECT_EQ(engine->stats().sessions, 0U);
    EXPECT_EQ(engine->stats().spool_bytes, 0U);
    return result;
  }
  JobResult RunWell(const std::string& groups) {
    JobResult result = Run(groups);
    EXPECT_FALSE(result.error.has_value()) << result.error.value_or(Error{}).message;
    return result;
  }
  // One session that copies "x", which `script` answers on the node tried first.
  JobResult RunAfter(const ScriptedNode::Script& script) {
    store.objects["in2/x"] = "text";
    AddScripted(script);
    TestNode& honest = AddNode();
    JobResult result = RunWell(
        G("g", "cat", R"({"name": "stdin", "path": "swift://~/in2/x"}, {"name": "stdout"})"));
    EXPECT_EQ(body, "text");
    EXPECT_EQ(honest.runner.starts(), 1);
    EXPECT_EQ(scripted.front()->offers(), 1);
    EXPECT_EQ(result.sessions[0].node, NameOf(1));
    EXPECT_EQ(result.sessions[0].failed_nodes.size(), 1U);
    return result;
  }

  peer::KeysOnDisk key_files_;
  std::unique_ptr<peer::KeyFile> keys;
  std::string directory_;
  node::FakeStore store;
  node::FakeStore* node_store = &store;  // as nodes added from now on see it
  node::FakeRunner local;                // of the proxy's own machine
  node::EngineConfig config;
  NodesOptions options;
  NodeOptions node_options;
  std::map<std::string, std::vector<std::string>> holders;  // hosts, by object
  std::vector<std::unique_ptr<TestNode>> nodes;
  std::vector<std::unique_ptr<ScriptedNode>> scripted;
  std::unique_ptr<Nodes> cluster;
  std::unique_ptr<node::Engine> engine;
  std::string body;
};

// What scripts of nodes are made of.

// As a node does up to there; the proxy sends its bytes meanwhile.
inline void Begin(peer::SecureConnection& connection) {
  EXPECT_TRUE(connection.Send(FrameKind::kAccepted, Encode(Accepted{true})).has_value());
  EXPECT_TRUE(connection.Send(FrameKind::kStarted, {}).has_value());
}
inline std::uint32_t OutputOf(const Offer& offer) {
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    if (offer.channels[i].source == Source::kOutput) return static_cast<std::uint32_t>(i);
  }
  return 0;
}
inline EndReport Success(const Offer& offer, std::uint64_t size) {
  EndReport end;
  end.report.cause = runtime::Cause::kExited;
  for (const OfferedChannel& channel : offer.channels) {
    auto& usage = end.report.channels.emplace_back();
    usage.alias = channel.alias;
    const bool is_held = channel.source == Source::kHold;
    if (channel.source == Source::kOutput || is_held) usage.size = size;
    end.digests.push_back(is_held ? std::string(64, 'd') : "");
  }
  return end;
}
// Until the other side hangs up.
inline void Linger(peer::SecureConnection& connection) {
  while (connection.Receive(std::chrono::minutes(1))) {
  }
}

}  // namespace zerocloud::remote
