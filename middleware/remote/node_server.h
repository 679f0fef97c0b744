// NodeServer: what `zerocloud node` runs. It runs sessions that proxies of the same cluster ask
// for, reads their stored objects as the caller whom the proxy names, and sends back what they
// write.
//
// Each connection has a thread and carries one session at a time. Sessions beyond the slots wait,
// up to a bound; more are refused, so that the proxy asks somebody else. A connection that breaks
// or falls silent ends its session: nothing runs on for a proxy that is gone.
//
// What sessions leave here for other sessions, or to be stored, it holds until the proxy needs it
// no longer or is gone: it gives it to other nodes, and PUTs it to Swift as the caller (holds.h).
//
// Whom it refuses, and why, is told to `log`, a sentence each.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/job/job_limits.h"
#include "middleware/node/runner.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/store/object_store.h"

namespace zerocloud::remote {

struct NodeOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::size_t slots = 4;     // sessions alive at once
  std::size_t waiting = 64;  // sessions that wait for a slot
  std::size_t connections = 1024;
  std::size_t programs = 64;  // verified programs kept
  std::string spool_directory = "/var/tmp";
  std::uint64_t spool_bytes = 64ULL << 30U;
  bool wants_own_namespaces = false;
  std::string control_groups;
  peer::ConnectionLimits patience;
  // How long a proxy may leave one of a gang that is ready without its go, and what is held without
  // its keep, though it says that it is there. No less than what it gives the gang to start
  // (NodesOptions::opening).
  std::chrono::milliseconds opening{600'000};
  job::JobLimits limits;  // program_bytes, memory_bytes, timeout_seconds: no offer exceeds them
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

struct NodeStats {
  std::size_t connections = 0;
  std::size_t sessions = 0;  // alive or about to be
  std::size_t slots = 0;
  std::uint64_t spool_bytes = 0;
  std::size_t holds = 0;
};

class NodeServer {
 public:
  // What is given outlives the server. `runner` is used by several threads at once.
  static Result<std::unique_ptr<NodeServer>> Start(NodeOptions options, peer::KeyFile& keys,
                                                   store::ObjectStore& store, node::Runner& runner);
  NodeServer(const NodeServer&) = delete;
  NodeServer& operator=(const NodeServer&) = delete;
  // Ends all sessions.
  ~NodeServer();

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] NodeStats stats() const;

 private:
  struct State;
  explicit NodeServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zerocloud::remote
