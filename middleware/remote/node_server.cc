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
  std::map<int, peer::SecureConnection*> open;  // guarded by mutex; null while it shakes hands
  std::map<int, UniqueFd> shaking;              // guarded by mutex: copies of their sockets
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
  void JoinEnded();
  void Serve(int id, UniqueFd socket, const std::string& name);
  Result<void> Converse(peer::SecureConnection& connection);
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
    if (open.size() >= options.connections) {
      options.log(fmt::format("refused {}: {} connections are open, the limit", name, open.size()));
      continue;
    }
    const int id = ++last_id;
    open[id] = nullptr;
    shaking[id].Reset(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
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

void NodeServer::State::Serve(int id, UniqueFd socket, const std::string& name) {
  Result<std::unique_ptr<peer::SecureConnection>> connection =
      peer::SecureConnection::Accept(std::move(socket), keys, options.patience);
  bool is_wanted = false;
  {
    const std::lock_guard lock(mutex);
    shaking.erase(id);
    is_wanted = connection && !is_stopping;
    if (is_wanted) open[id] = connection->get();
  }
  if (!connection) {
    options.log(fmt::format("refused {}: {}", name, connection.error().message));
  } else if (is_wanted) {
    const Result<void> conversed = Converse(**connection);
    // That a proxy hangs up is no news.
    if (!conversed && conversed.error().code != ErrorCode::kUnavailable) {
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

Result<void> NodeServer::State::Converse(peer::SecureConnection& connection) {
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
    Result<void> served = ServeSession(parts, connection, proxy, std::move(*offer));
    if (!served) return served;
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
    for (const auto& [id, socket] : state_->shaking) ::shutdown(socket.get(), SHUT_RDWR);
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
