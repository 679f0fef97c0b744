#include "middleware/remote/nodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "middleware/plan/placement.h"
#include "middleware/remote/away_session.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

constexpr std::chrono::seconds kAskEvery{1};
constexpr std::chrono::seconds kFirstWait{2};
constexpr std::size_t kMostIdle = 64;  // connections to one node
// Ids of holds of which a node is to be told when it answers again.
constexpr std::size_t kMostWaiting = 1 << 17;

}  // namespace

Nodes::Nodes(NodesOptions options, peer::KeyFile& keys)
    : options_(std::move(options)), keys_(keys), proxy_(NewId()) {
  for (const NodeAddress& address : options_.nodes) {
    auto node = std::make_unique<Node>();
    node->address = address;
    node->name = fmt::format("{}:{}", address.host, address.port);
    nodes_.push_back(std::move(node));
  }
}

Result<std::unique_ptr<Nodes>> Nodes::Start(NodesOptions options, peer::KeyFile& keys) {
  std::unique_ptr<Nodes> nodes(new Nodes(std::move(options), keys));
  try {
    for (auto& node : nodes->nodes_) {
      node->keeper = std::thread([raw = nodes.get(), &node = *node] { raw->Keep(node); });
    }
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("cannot start a thread for each node: {}", error.what()));
  }
  std::unique_lock lock(nodes->mutex_);
  nodes->changed_.wait_for(lock, kFirstWait, [&] {
    return std::ranges::all_of(nodes->nodes_, [](const auto& node) { return node->is_asked; });
  });
  lock.unlock();
  return nodes;
}

Nodes::~Nodes() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    for (const auto& node : nodes_) {
      if (node->kept != nullptr) node->kept->Abort();
    }
  }
  changed_.notify_all();
  for (const auto& node : nodes_) {
    if (node->keeper.joinable()) node->keeper.join();
  }
}

void Nodes::Keep(Node& node) {
  Connection connection;
  while (true) {
    Result<void> asked;
    if (connection == nullptr) {
      peer::ConnectionLimits limits = options_.patience;
      limits.handshake = std::min<std::chrono::milliseconds>(limits.handshake, kFirstWait);
      Result<Connection> made =
          peer::SecureConnection::Connect(node.address.host, node.address.port, keys_, limits);
      if (made) {
        connection = std::move(*made);
      } else {
        asked = Fail(made);
      }
    }
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      node.kept = connection.get();
    }
    if (connection != nullptr) asked = Greet(node, *connection);
    if (connection != nullptr && asked) asked = TellOfHolds(node, *connection);
    std::string news;
    std::unique_lock lock(mutex_);
    node.is_asked = true;
    if (!asked) {
      node.kept = nullptr;
      node.is_up = false;
      node.idle.clear();
      if (node.complaint != asked.error().message) news = asked.error().message;
      node.complaint = asked.error().message;
    } else {
      if (!node.complaint.empty()) news = "it answers again";
      node.complaint.clear();
    }
    changed_.notify_all();
    lock.unlock();
    if (!asked) connection.reset();
    if (!news.empty()) options_.log(fmt::format("node {}: {}", node.name, news));
    lock.lock();
    // Often enough that it never takes this proxy for gone.
    const auto interval =
        std::min<std::chrono::milliseconds>(kAskEvery, options_.patience.silence / 4);
    changed_.wait_for(lock, interval, [&] {
      return is_stopping_ || (node.is_up && !(node.dropped.empty() && node.spared.empty()));
    });
    if (is_stopping_) {
      node.kept = nullptr;
      return;
    }
  }
}

Result<void> Nodes::Greet(Node& node, peer::SecureConnection& connection) {
  Result<void> sent = connection.Send(peer::FrameKind::kHello, Encode(Hello{.proxy = proxy_}));
  if (!sent) return sent;
  Result<std::optional<peer::Frame>> answer = connection.Receive(options_.patience.silence);
  if (!answer) return Fail(answer);
  const std::optional<peer::Frame>& frame = *answer;
  if (!frame) return Fail(ErrorCode::kTimeout, "it does not answer");
  if (frame->kind != peer::FrameKind::kHello) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("it answered a greeting with a {} frame", ToString(frame->kind)));
  }
  const Result<Hello> hello = ParseHello(frame->payload);
  if (!hello) return Fail(hello);
  const std::lock_guard lock(mutex_);
  node.is_up = true;
  node.slots = hello->slots;
  node.told = hello->sessions;
  return {};
}

Result<void> Nodes::TellOfHolds(Node& node, peer::SecureConnection& connection) {
  for (const peer::FrameKind kind : {peer::FrameKind::kSpare, peer::FrameKind::kDrop}) {
    std::vector<std::string>& waiting = kind == peer::FrameKind::kDrop ? node.dropped : node.spared;
    while (true) {
      HoldList list;
      {
        const std::lock_guard lock(mutex_);
        const auto from =
            waiting.end() - static_cast<std::ptrdiff_t>(std::min(waiting.size(), kMostIds));
        std::move(from, waiting.end(), std::back_inserter(list.holds));
        waiting.erase(from, waiting.end());
      }
      if (list.holds.empty()) break;
      Result<void> sent = connection.Send(kind, Encode(list));
      if (sent) continue;
      const std::lock_guard lock(mutex_);  // it is told when it answers again
      std::ranges::move(list.holds, std::back_inserter(waiting));
      return sent;
    }
  }
  return {};
}

void Nodes::Drop(std::size_t node, std::vector<std::string> holds) {
  if (holds.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    std::vector<std::string>& waiting = nodes_[node]->dropped;
    // One that does not answer forgets them by itself after a while.
    if (waiting.size() + holds.size() > kMostWaiting) waiting.clear();
    std::ranges::move(holds, std::back_inserter(waiting));
  }
  changed_.notify_all();
}

void Nodes::Spare(std::size_t node, std::vector<std::string> holds) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string>& waiting = nodes_[node]->spared;
  if (waiting.size() + holds.size() > kMostWaiting) waiting.clear();
  std::ranges::move(holds, std::back_inserter(waiting));  // it need not know at once
}

std::size_t Nodes::slots() const {
  const std::lock_guard lock(mutex_);
  std::size_t slots = 0;
  for (const auto& node : nodes_) slots += node->is_up ? node->slots : 0;
  return slots;
}

std::string Nodes::NameOf(std::size_t node) const { return nodes_[node]->name; }

std::optional<std::size_t> Nodes::Choose(const std::optional<store::ObjectPath>& object,
                                         const std::vector<std::size_t>& tried) {
  std::vector<std::size_t> holders;
  if (object && options_.holders) {
    for (const std::string& host : options_.holders(*object)) {
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const bool is_new = std::ranges::find(holders, i) == holders.end();
        if (is_new && nodes_[i]->address.host == host) holders.push_back(i);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  std::vector<plan::NodeState> states;
  states.reserve(nodes_.size());
  for (const auto& node : nodes_) {
    states.push_back({.is_up = node->is_up,
                      .slots = node->slots,
                      .sessions = std::max(node->sessions, node->told)});
  }
  const std::optional<std::size_t> chosen = plan::PlaceSession(states, holders, tried);
  if (chosen) ++nodes_[*chosen]->sessions;
  return chosen;
}

void Nodes::Release(std::size_t node) {
  const std::lock_guard lock(mutex_);
  --nodes_[node]->sessions;
}

Nodes::Connection Nodes::TakeIdle(std::size_t node) {
  const std::lock_guard lock(mutex_);
  std::vector<Connection>& idle = nodes_[node]->idle;
  if (idle.empty()) return nullptr;
  Connection connection = std::move(idle.back());
  idle.pop_back();
  return connection;
}

Result<Nodes::Connection> Nodes::Connect(std::size_t node) {
  Node& its = *nodes_[node];
  Result<Connection> made =
      peer::SecureConnection::Connect(its.address.host, its.address.port, keys_, options_.patience);
  if (!made) return made;
  if (Result<void> greeted = Greet(its, **made); !greeted) return Fail(greeted);
  return made;
}

void Nodes::GiveBack(std::size_t node, Connection connection) {
  const std::lock_guard lock(mutex_);
  std::vector<Connection>& idle = nodes_[node]->idle;
  if (idle.size() < kMostIdle) idle.push_back(std::move(connection));
}

void Nodes::MarkDown(std::size_t node, const std::string& why) {
  std::vector<Connection> closing;
  {
    const std::lock_guard lock(mutex_);
    nodes_[node]->is_up = false;
    closing.swap(nodes_[node]->idle);
  }
  options_.log(fmt::format("node {}: {}", nodes_[node]->name, why));
}

Result<std::unique_ptr<node::RunningSession>> Nodes::Start(node::ElsewhereSession session) {
  return AwaySession::Start(*this, std::move(session));
}

}  // namespace zerocloud::remote
