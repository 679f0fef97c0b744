#include "middleware/remote/node_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "middleware/node/file_limit.h"
#include "middleware/remote/hold_orders.h"
#include "middleware/remote/node_session.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {
namespace {

// A connection that carries nothing is closed after so long; proxies close theirs sooner.
constexpr std::chrono::minutes kIdle{5};

std::string NameOf(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  const void* any = &address;
  const int failed =
      ::getnameinfo(static_cast<const sockaddr*>(any), size, host.data(), host.size(), port.data(),
                    port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
  return failed != 0 ? "somebody" : fmt::format("{} port {}", host.data(), port.data());
}

}  // namespace

struct NodeServer::State {
  NodeOptions options;
  peer::KeyFile& keys;
  store::ObjectStore& store;
  node::Runner& runner;
  node::ImageCache images;
  std::shared_ptr<node::Spool> spool;
  SlotGate slots;
  Holds holds;
  Streams streams;
  UniqueFd listening;
  UniqueFd stopping;  // readable: stop
  std::uint16_t port = 0;
  std::mutex mutex;
  struct Shaking {
    UniqueFd socket;  // a copy of it
    std::string name;
  };
  std::map<int, peer::SecureConnection*> open;  // guarded by mutex; null before and after
  std::map<int, Shaking> shaking;               // guarded by mutex; the oldest first
  std::map<int, std::thread> threads;           // guarded by mutex, of `open` and `ended`
  std::vector<int> ended;                       // guarded by mutex: threads to join
  int last_id = 0;
  bool is_stopping = false;  // guarded by mutex
  std::atomic<std::uint64_t> spooled = 0;
  std::thread accepting;

  State(NodeOptions chosen, peer::KeyFile& key_file, store::ObjectStore& objects,
        node::Runner& sandbox, std::shared_ptr<node::Spool> disk)
      : options(std::move(chosen)),
        keys(key_file),
        store(objects),
        runner(sandbox),
        images(sandbox, options.programs),
        spool(std::move(disk)),
        slots(options.slots, options.waiting),
        holds(spool, options.patience.silence),
        streams(options.patience) {}

  void AcceptAll();
  // Whether there is room for one more; guarded by mutex. A stranger may come at any time, and in
  // any number, so the oldest that still shakes hands makes room for the next.
  bool HasRoom(const std::string& name);
  // Those that were hung up on are there for a moment; no more are taken in until they are gone.
  bool MustWait() {
    const std::lock_guard lock(mutex);
    return open.size() >= options.connections + 2 * MostShaking();
  }
  [[nodiscard]] std::size_t MostShaking() const {
    return std::max<std::size_t>(1, options.connections / 2);
  }
  // Those whose other side has the key; guarded by mutex.
  [[nodiscard]] std::size_t CountProved() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(open, [](const auto& item) { return item.second != nullptr; }));
  }
  void JoinEnded();
  void Serve(int id, UniqueFd socket, const std::string& name);
  // `session` is the name of the one that was under way when it failed.
  Result<void> Converse(peer::SecureConnection& connection, std::optional<std::string>& session);
};

void NodeServer::State::AcceptAll() {
  while (true) {
    std::array<pollfd, 2> waiting = {pollfd{listening.get(), POLLIN, 0},
                                     pollfd{stopping.get(), POLLIN, 0}};
    const auto interval = HeartbeatInterval(options.patience);
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(interval.count()));
    if (ready < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    JoinEnded();
    holds.ForgetSilent();
    if (ready <= 0) continue;
    if (MustWait()) {
      pollfd stop{stopping.get(), POLLIN, 0};
      if (::poll(&stop, 1, 10) > 0) return;
      continue;
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    void* any = &address;
    UniqueFd socket(::accept4(listening.get(), static_cast<sockaddr*>(any), &size,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) continue;
      // Nothing to do but wait until something is closed; and not to spin meanwhile.
      pollfd stop{stopping.get(), POLLIN, 0};
      if (::poll(&stop, 1, 100) > 0) return;
      continue;
    }
    const std::string name = NameOf(address, size);
    const std::lock_guard lock(mutex);
    if (!HasRoom(name)) continue;
    const int id = ++last_id;
    open[id] = nullptr;
    shaking[id] = {UniqueFd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)), name};
    try {
      threads[id] = std::thread([this, id, moved = std::move(socket), name]() mutable {
        Serve(id, std::move(moved), name);
      });
    } catch (const std::system_error& error) {
      open.erase(id);
      shaking.erase(id);
      threads.erase(id);
      options.log(fmt::format("refused {}: no thread for it: {}", name, error.what()));
    }
  }
}

bool NodeServer::State::HasRoom(const std::string& name) {
  if (CountProved() >= options.connections) {
    options.log(
        fmt::format("refused {}: {} connections are open, the limit", name, options.connections));
    return false;
  }
  if (shaking.size() < MostShaking()) return true;
  const auto oldest = shaking.begin();
  ::shutdown(oldest->second.socket.get(), SHUT_RDWR);
  options.log(
      fmt::format("hung up on {}, which has not shown a key yet: so have {} others, and {} came",
                  oldest->second.name, shaking.size() - 1, name));
  shaking.erase(oldest);
  return true;
}

void NodeServer::State::Serve(int id, UniqueFd socket, const std::string& name) {
  Result<std::unique_ptr<peer::SecureConnection>> connection =
      peer::SecureConnection::Accept(std::move(socket), keys, options.patience);
  bool is_wanted = false;
  bool is_full = false;  // others were faster
  {
    const std::lock_guard lock(mutex);
    shaking.erase(id);
    is_full = connection && CountProved() >= options.connections;
    is_wanted = connection && !is_stopping && !is_full;
    if (is_wanted) open[id] = connection->get();
  }
  if (!connection) {
    options.log(fmt::format("refused {}: {}", name, connection.error().message));
  } else if (is_full) {
    options.log(
        fmt::format("refused {}: {} connections are open, the limit", name, options.connections));
  } else if (is_wanted) {
    std::optional<std::string> session;
    const Result<void> conversed = Converse(**connection, session);
    // That a proxy hangs up between sessions is no news.
    if (!conversed && session) {
      options.log(fmt::format("dropped {} within session {}: {}", name, *session,
                              conversed.error().message));
    } else if (!conversed && conversed.error().code != ErrorCode::kUnavailable) {
      options.log(fmt::format("dropped {}: {}", name, conversed.error().message));
    }
  }
  {
    const std::lock_guard lock(mutex);
    open[id] = nullptr;
  }
  connection = Fail(ErrorCode::kCancelled, "");  // closed before it counts as gone
  const std::lock_guard lock(mutex);
  open.erase(id);
  ended.push_back(id);
}

void NodeServer::State::JoinEnded() {
  std::vector<std::thread> joining;
  {
    const std::lock_guard lock(mutex);
    for (const int id : ended) joining.push_back(std::move(threads.extract(id).mapped()));
    ended.clear();
  }
  for (std::thread& thread : joining) thread.join();
}

Result<void> NodeServer::State::Converse(peer::SecureConnection& connection,
                                         std::optional<std::string>& session) {
  NodeParts parts{options, store, runner, images, spool, spooled, slots, holds, streams, keys};
  bool is_greeted = false;
  std::string proxy;  // for which the other side speaks
  while (true) {
    Result<std::optional<peer::Frame>> frame = connection.Receive(kIdle);
    if (!frame) return Fail(frame);
    const std::optional<peer::Frame>& taken = *frame;
    if (!taken) return {};
    const peer::Frame& next = *taken;
    holds.Heard(proxy);
    if (next.kind == peer::FrameKind::kHeartbeat) continue;  // left over from a session
    if (next.kind == peer::FrameKind::kHello) {
      Result<Hello> hello = ParseHello(next.payload);
      if (!hello) return Fail(hello);
      is_greeted = true;
      proxy = std::move(hello->proxy);
      holds.Heard(proxy);
      const Hello ours{.slots = slots.slots(),
                       .sessions = slots.sessions(),
                       .time = static_cast<std::uint64_t>(std::max<peer::Seconds>(0, keys.now())),
                       .program_bytes = options.limits.program_bytes,
                       .memory_bytes = options.limits.memory_bytes,
                       .timeout_seconds = options.limits.timeout_seconds};
      Result<void> sent = connection.Send(peer::FrameKind::kHello, Encode(ours));
      if (!sent) return sent;
      continue;
    }
    if (is_greeted && next.kind == peer::FrameKind::kStream) {
      const Result<StreamOrder> order = ParseStreamOrder(next.payload);
      if (!order) return Fail(order);
      return streams.Serve(connection, {proxy, order->stream});
    }
    if (is_greeted && IsHoldOrder(next.kind)) {
      Result<void> served = ServeHoldOrder(parts, connection, proxy, next);
      if (!served) return served;
      continue;
    }
    if (next.kind != peer::FrameKind::kStart || !is_greeted) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("it sent a {} frame where there is none", ToString(next.kind)));
    }
    Result<Offer> offer = ParseOffer(next.payload);
    if (!offer) return Fail(offer);
    const bool needs_name = std::ranges::any_of(offer->channels, [](const OfferedChannel& channel) {
      return !channel.hold.empty() || !channel.stream.empty();
    });
    if (needs_name && proxy.empty()) {
      return Fail(ErrorCode::kInvalid,
                  "it did not say for which proxy something is held or streamed");
    }
    session = offer->session;
    Result<void> served = ServeSession(parts, connection, proxy, std::move(*offer));
    if (!served) return served;
    session.reset();
  }
}

NodeServer::NodeServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

NodeServer::~NodeServer() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(state_->stopping.get(), &one, sizeof one);
  state_->accepting.join();
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_stopping = true;
    for (const auto& [id, shaking] : state_->shaking) ::shutdown(shaking.socket.get(), SHUT_RDWR);
    for (const auto& [id, connection] : state_->open) {
      if (connection != nullptr) connection->Abort();
    }
  }
  // Nobody adds any more.
  for (auto& [id, thread] : state_->threads) thread.join();
}

std::uint16_t NodeServer::port() const { return state_->port; }

NodeStats NodeServer::stats() const {
  const std::lock_guard lock(state_->mutex);
  return {.connections = state_->open.size(),
          .sessions = state_->slots.sessions(),
          .slots = state_->slots.slots(),
          .spool_bytes = state_->spooled + state_->spool->used(),
          .holds = state_->holds.count()};
}

Result<std::unique_ptr<NodeServer>> NodeServer::Start(NodeOptions options, peer::KeyFile& keys,
                                                      store::ObjectStore& store,
                                                      node::Runner& runner) {
  node::RaiseFileLimit();
  Result<std::shared_ptr<node::Spool>> spool =
      node::Spool::Open(options.spool_directory, options.spool_bytes);
  if (!spool) return Fail(spool);
  auto state = std::make_unique<State>(std::move(options), keys, store, runner, std::move(*spool));
  state->port = state->options.port;
  Result<UniqueFd> listening = peer::Listen(state->options.host, state->port);
  if (!listening) return Fail(listening);
  state->listening = std::move(*listening);
  state->stopping.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->stopping.is_open()) return FailErrno("cannot start the node");
  try {
    state->accepting = std::thread([raw = state.get()] { raw->AcceptAll(); });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable, fmt::format("cannot start the node: {}", error.what()));
  }
  return std::unique_ptr<NodeServer>(new NodeServer(std::move(state)));
}

}  // namespace zerocloud::remote
