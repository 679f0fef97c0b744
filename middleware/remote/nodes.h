// Nodes: the proxy's side of a cluster. It knows which nodes there are and how they do, places each
// session near its object, and has it run there; if a node fails before the session's end has
// arrived, on another one.
//
// Each node has a thread here that keeps a connection to it and asks how it does, and each session
// that runs elsewhere has one. Connections are used again, one session after the other.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "middleware/node/elsewhere.h"
#include "middleware/peer/secure_connection.h"

namespace zerocloud::remote {

struct NodeAddress {
  std::string host;  // numeric, as the rings have it
  std::uint16_t port = 0;
  friend bool operator==(const NodeAddress&, const NodeAddress&) = default;
};

struct NodesOptions {
  std::vector<NodeAddress> nodes;
  std::size_t attempts = 3;  // nodes on which a session is tried
  peer::ConnectionLimits patience;
  std::chrono::milliseconds opening{600'000};  // from the offer until the session starts
  // How long the end of a session may take beyond its timeout.
  std::chrono::milliseconds ending{30'000};
  // The hosts with a replica of an object, the preferred first. May be empty. May block to ask
  // about it, as the caller.
  std::function<std::vector<std::string>(const store::Caller&, const store::ObjectPath&)> holders;
  // How long a gang may wait until all of it can start.
  std::chrono::milliseconds gang_wait{60'000};
  // How long a connection that no session has may wait for one: less than a node waits for the next
  // session (kIdle in node_server.cc).
  std::chrono::milliseconds oldest_idle = std::chrono::minutes(4);
  // Called by any thread.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

struct NodesStats {
  std::size_t nodes = 0;  // of the list
  std::size_t up = 0;     // of these answer
};

class Nodes : public node::Elsewhere {
 public:
  // Waits a moment for those that answer at once. `keys` outlives it.
  static Result<std::unique_ptr<Nodes>> Start(NodesOptions options, peer::KeyFile& keys);
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;
  ~Nodes() override;  // REQUIRES: no session is left

  // Those of the nodes that answer.
  [[nodiscard]] std::size_t slots() const override;
  Result<std::unique_ptr<node::RunningSession>> Start(node::ElsewhereSession session) override;
  Result<std::vector<std::unique_ptr<node::RunningSession>>> StartGang(
      std::vector<node::ElsewhereSession> gang) override;

  // Takes over another list and number of attempts, for sessions that are placed from now on. One
  // that is under way on a node which is not listed any more ends there, and what that node holds
  // it goes on holding: it hears of this proxy until it is stopped. Called by one thread.
  Result<void> Change(const std::vector<NodeAddress>& list, std::size_t attempts);
  [[nodiscard]] NodesStats stats() const;

  // For sessions under way; thread-safe.
  [[nodiscard]] const NodesOptions& options() const { return options_; }
  [[nodiscard]] std::size_t attempts() const { return attempts_; }
  // A node to try next. Counts as a session there until Release().
  std::optional<std::size_t> Choose(const node::ElsewhereSession& session,
                                    const std::vector<std::size_t>& tried);
  // Nodes for all of them with a slot of this proxy's free for each, or nothing; those to be
  // avoided only if there is no other way. Count as sessions there until Release().
  std::optional<std::vector<std::size_t>> ChooseForGang(
      const std::vector<const node::ElsewhereSession*>& gang,
      const std::vector<std::size_t>& avoided);
  // Of all nodes, also of those that do not answer now.
  [[nodiscard]] std::size_t known_slots() const;
  void Release(std::size_t node);
  [[nodiscard]] std::string NameOf(std::size_t node) const;
  using Connection = std::unique_ptr<peer::SecureConnection>;
  // One that was given back not long ago, or null. The node may have closed it all the same.
  Connection TakeIdle(std::size_t node);
  Result<Connection> Connect(std::size_t node);
  void GiveBack(std::size_t node, Connection connection);
  // The id under which nodes hold something for this proxy.
  [[nodiscard]] const std::string& proxy() const { return proxy_; }
  // What that node holds under these ids is not needed any more, or only as long as there is room.
  // Does not wait; the node's keeper tells it.
  void Drop(std::size_t node, std::vector<std::string> holds);
  void Spare(std::size_t node, std::vector<std::string> holds);
  // Has it logged, unless that was the last that was said of it.
  void Note(std::size_t node, const std::string& what);
  // It does not answer; it is asked again and again how it does.
  void MarkDown(std::size_t node, const std::string& why);

 private:
  struct Idle {
    Connection connection;
    std::chrono::steady_clock::time_point since;
  };
  struct Node {
    NodeAddress address;  // these two never change
    std::string name;
    bool is_listed = true;  // else it gets no more sessions, and its keeper ends when it does
    bool is_kept = false;   // its keeper runs
    bool is_up = false;
    bool is_asked = false;             // at least once
    std::size_t slots = 0;             // as it said last
    std::size_t told = 0;              // sessions of everybody, as it said last
    std::size_t sessions = 0;          // of ours
    std::string complaint;             // that was logged last, until it answers again
    std::string noted;                 // the last of Note()
    std::vector<Idle> idle;            // the oldest first
    std::vector<std::string> dropped;  // holds of which it is to be told
    std::vector<std::string> spared;
    peer::SecureConnection* kept = nullptr;  // the keeper's
    std::thread keeper;
  };

  Nodes(NodesOptions options, peer::KeyFile& keys);
  void Keep(Node& node);
  [[nodiscard]] Node& At(std::size_t node) const;
  // Near which it should run, the preferred first. May block.
  [[nodiscard]] std::vector<std::size_t> HoldersFor(const node::ElsewhereSession& session) const;
  // What is listed, with a keeper each.
  Result<void> StartKeepers();
  // Greets, and takes what the node says about itself.
  Result<void> Greet(Node& node, peer::SecureConnection& connection);
  // Tells it of the holds that are not needed.
  Result<void> TellOfHolds(Node& node, peer::SecureConnection& connection);

  const NodesOptions options_;  // but for `nodes` and `attempts`, which may have changed since
  peer::KeyFile& keys_;
  const std::string proxy_;
  std::atomic<std::size_t> attempts_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;  // guarded by mutex_
  // Guarded by mutex_, and so are those members of each that change. Only grows: sessions know
  // their nodes by index.
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace zerocloud::remote
