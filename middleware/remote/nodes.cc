#include "middleware/remote/nodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "middleware/plan/placement.h"
#include "middleware/remote/away_gang.h"
#include "middleware/remote/away_session.h"
#include "middleware/remote/greeting.h"
#include "middleware/remote/held_session.h"
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
    : options_(std::move(options)), keys_(keys), proxy_(NewId()), attempts_(options_.attempts) {}

Result<std::unique_ptr<Nodes>> Nodes::Start(NodesOptions options, peer::KeyFile& keys) {
  std::unique_ptr<Nodes> nodes(new Nodes(std::move(options), keys));
  const std::vector<NodeAddress> list = nodes->options_.nodes;
  if (Result<void> listed = nodes->Change(list, nodes->options_.attempts); !listed) {
    return Fail(listed);
  }
  std::unique_lock lock(nodes->mutex_);
  nodes->changed_.wait_for(lock, kFirstWait, [&] {
    return std::ranges::all_of(nodes->nodes_, [](const auto& node) { return node->is_asked; });
  });
  lock.unlock();
  return nodes;
}

Result<void> Nodes::Change(const std::vector<NodeAddress>& list, std::size_t attempts) {
  attempts_ = attempts;
  const auto is_listed = [&](const NodeAddress& address) {
    return std::ranges::find(list, address) != list.end();
  };
  std::vector<Idle> closing;  // without the lock
  const std::lock_guard lock(mutex_);
  for (const auto& node : nodes_) {
    if (!node->is_listed || is_listed(node->address)) continue;
    node->is_listed = false;
    std::ranges::move(node->idle, std::back_inserter(closing));
    node->idle.clear();
  }
  for (const NodeAddress& address : list) {
    const auto found =
        std::ranges::find_if(nodes_, [&](const auto& node) { return node->address == address; });
    if (found != nodes_.end()) {
      (*found)->is_listed = true;
      continue;
    }
    auto node = std::make_unique<Node>();
    node->address = address;
    node->name = fmt::format("{}:{}", address.host, address.port);
    nodes_.push_back(std::move(node));
  }
  return StartKeepers();
}

Result<void> Nodes::StartKeepers() {
  try {
    for (const auto& node : nodes_) {
      if (!node->is_listed || node->is_kept) continue;
      // One that has ended, of the time before, wants no lock any more.
      if (node->keeper.joinable()) node->keeper.join();
      node->complaint.clear();
      node->keeper = std::thread([this, raw = node.get()] { Keep(*raw); });
      node->is_kept = true;
    }
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("cannot start a thread for each node: {}", error.what()));
  }
  return {};
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
    } else if (!node.complaint.empty() && node.is_up) {  // no session found otherwise meanwhile
      news = "it answers again";
      node.complaint.clear();
    }
    node.is_kept = asked || node.is_listed;
    const bool is_over = !node.is_kept;
    changed_.notify_all();
    lock.unlock();
    if (is_over) return;
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
  const Result<Hello> hello = GreetNode(connection, proxy_, options_.patience.silence);
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
  for (const auto& node : nodes_) slots += node->is_up && node->is_listed ? node->slots : 0;
  return slots;
}

NodesStats Nodes::stats() const {
  const std::lock_guard lock(mutex_);
  NodesStats stats;
  for (const auto& node : nodes_) {
    if (!node->is_listed) continue;
    ++stats.nodes;
    stats.up += node->is_up ? 1 : 0;
  }
  return stats;
}

Nodes::Node& Nodes::At(std::size_t node) const {
  const std::lock_guard lock(mutex_);
  return *nodes_[node];
}

std::string Nodes::NameOf(std::size_t node) const { return At(node).name; }

std::vector<std::size_t> Nodes::HoldersFor(const node::ElsewhereSession& session) const {
  // Without an object of its own it runs near what it reads of others.
  if (!session.attached) return NearHeldInputs(session);
  if (!options_.holders) return {};
  const std::vector<std::string> hosts = options_.holders(session.caller, *session.attached);
  const std::lock_guard lock(mutex_);
  std::vector<std::size_t> holders;
  for (const std::string& host : hosts) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const bool is_new = std::ranges::find(holders, i) == holders.end();
      if (is_new && nodes_[i]->address.host == host) holders.push_back(i);
    }
  }
  return holders;
}

std::size_t Nodes::known_slots() const {
  const std::lock_guard lock(mutex_);
  std::size_t slots = 0;
  for (const auto& node : nodes_) slots += node->is_listed ? node->slots : 0;
  return slots;
}

std::optional<std::vector<std::size_t>> Nodes::ChooseForGang(
    const std::vector<const node::ElsewhereSession*>& gang,
    const std::vector<std::size_t>& avoided) {
  std::vector<std::vector<std::size_t>> holders;
  holders.reserve(gang.size());
  for (const node::ElsewhereSession* session : gang) holders.push_back(HoldersFor(*session));
  const std::lock_guard lock(mutex_);
  std::vector<plan::NodeState> states;
  states.reserve(nodes_.size());
  for (const auto& node : nodes_) {
    states.push_back({.is_up = node->is_up && node->is_listed,
                      .slots = node->slots,
                      .sessions = node->sessions});
  }
  std::vector<plan::NodeState> others = states;
  for (const std::size_t node : avoided) others[node].is_up = false;
  std::optional<std::vector<std::size_t>> chosen = plan::PlaceGang(others, holders);
  if (!chosen && !avoided.empty()) chosen = plan::PlaceGang(states, holders);
  if (!chosen) return chosen;
  for (const std::size_t node : *chosen) ++nodes_[node]->sessions;
  return chosen;
}

std::optional<std::size_t> Nodes::Choose(const node::ElsewhereSession& session,
                                         const std::vector<std::size_t>& tried) {
  const std::vector<std::size_t> holders = HoldersFor(session);
  node::Company* const company = session.company.get();
  const std::lock_guard lock(mutex_);
  std::vector<plan::NodeState> states;
  std::vector<std::size_t> left_out = tried;
  states.reserve(nodes_.size());
  for (const auto& node : nodes_) {
    if (!node->is_listed) left_out.push_back(states.size());
    states.push_back({.is_up = node->is_up,
                      .slots = node->slots,
                      .sessions = std::max(node->sessions, node->told)});
  }
  const std::optional<std::size_t> place = company != nullptr ? company->place : std::nullopt;
  const std::optional<std::size_t> chosen = plan::PlaceSession(states, holders, left_out, place);
  if (!chosen) return chosen;
  ++nodes_[*chosen]->sessions;
  // Where one had to leave, those that come later follow.
  const bool is_lost =
      place && (!nodes_[*place]->is_up || std::ranges::find(left_out, *place) != left_out.end());
  if (company != nullptr && (!place || is_lost)) company->place = chosen;
  return chosen;
}

void Nodes::Release(std::size_t node) {
  const std::lock_guard lock(mutex_);
  --nodes_[node]->sessions;
}

Nodes::Connection Nodes::TakeIdle(std::size_t node) {
  std::vector<Idle> closing;  // without the lock
  const std::lock_guard lock(mutex_);
  std::vector<Idle>& idle = nodes_[node]->idle;
  if (idle.empty()) return nullptr;
  if (std::chrono::steady_clock::now() - idle.back().since > options_.oldest_idle) {
    closing.swap(idle);  // the last one is the youngest
    return nullptr;
  }
  Connection connection = std::move(idle.back().connection);
  idle.pop_back();
  return connection;
}

Result<Nodes::Connection> Nodes::Connect(std::size_t node) {
  Node& its = At(node);
  Result<Connection> made =
      peer::SecureConnection::Connect(its.address.host, its.address.port, keys_, options_.patience);
  if (!made) return made;
  if (Result<void> greeted = Greet(its, **made); !greeted) return Fail(greeted);
  return made;
}

void Nodes::GiveBack(std::size_t node, Connection connection) {
  const std::lock_guard lock(mutex_);
  Node& its = *nodes_[node];
  if (!its.is_listed || its.idle.size() >= kMostIdle) return;
  its.idle.push_back({std::move(connection), std::chrono::steady_clock::now()});
}

void Nodes::Note(std::size_t node, const std::string& what) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(nodes_[node]->noted, what) == what) return;
  }
  options_.log(fmt::format("node {}: {}", NameOf(node), what));
}

void Nodes::MarkDown(std::size_t node, const std::string& why) {
  std::vector<Idle> closing;
  {
    const std::lock_guard lock(mutex_);
    Node& its = *nodes_[node];
    its.is_up = false;
    closing.swap(its.idle);
    if (its.complaint == why) return;
    its.complaint = why;  // so that its keeper says when it is over
  }
  options_.log(fmt::format("node {}: {}", NameOf(node), why));
}

Result<std::unique_ptr<node::RunningSession>> Nodes::Start(node::ElsewhereSession session) {
  return AwaySession::Start(*this, std::move(session));
}

Result<std::vector<std::unique_ptr<node::RunningSession>>> Nodes::StartGang(
    std::vector<node::ElsewhereSession> gang) {
  return AwayGang::Start(*this, std::move(gang));
}

}  // namespace zerocloud::remote
