#include "channels/network/links.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "channels/network/name_service.h"
#include "channels/network/wire.h"

namespace zerocloud::network {
namespace {

using channels::FailHost;
using channels::HostError;
using channels::HostResult;
using channels::HostStatus;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A peer that says nothing holds the others up no longer than this.
constexpr milliseconds kGreetingTime{5000};
constexpr milliseconds kFirstRetry{5};
constexpr milliseconds kLastRetry{100};

auto FailAs(HostStatus status, const std::string& label, const Error& error) {
  return std::unexpected(HostError{status, {error.code, label + ": " + error.message}});
}

HostStatus StatusOf(const Error& error) {
  return error.code == ErrorCode::kTimeout || error.code == ErrorCode::kCancelled
             ? HostStatus::kInterrupted
             : HostStatus::kUnavailable;
}

// What the threads of a session's links know of each other and of the session.
struct Session {
  UniqueFd stop_event;  // set: everything ends now
  Deadline deadline;
  std::uint32_t node = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t ready = 0;                 // links that are set up
  std::optional<HostError> setup_error;  // of the first that could not be
  bool has_ended = false;                // the session's process, and it ended well
  bool is_stopped = false;               // as stop_event

  [[nodiscard]] Patience patience() const { return {deadline, stop_event.get()}; }
};

// One link: made by Links::Open(), then run by its thread, then read once that has ended.
class Link {
 public:
  Link(const LinkSpec& spec, Session& session) : spec_(spec), session_(session) {
    report_.channel = spec.channel;
    report_.source = spec.source;
    report_.is_reader = spec.is_reader;
  }

  [[nodiscard]] const LinkSpec& spec() const { return spec_; }
  [[nodiscard]] const LinkReport& report() const { return report_; }
  UniqueFd TakeSessionEnd() { return std::move(session_end_); }

  // Readers: takes the port; it is 0 in the specification where any will do.
  Result<std::uint16_t> StartListening(std::uint32_t ip) {
    std::uint16_t port = spec_.address.port;
    auto listener = Listen(ip, port);
    if (!listener) return Fail(listener);
    listener_ = std::move(*listener);
    return port;
  }
  // Writers with a node number: where that node listens.
  void SetPeer(const NameRecord& peer) {
    spec_.address.ip = peer.host;
    spec_.address.port = peer.port;
  }

  Result<void> MakeLocal() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return FailErrno("cannot make a socket pair");
    }
    session_end_.Reset(ends[0]);
    local_.Reset(ends[1]);
    if (::fcntl(local_.get(), F_SETFL, O_NONBLOCK) != 0) return FailErrno("cannot set up a socket");
    // A socket that is closed with this unread byte gives the other end ECONNRESET instead of an
    // end: so a reader's stream is broken unless FinishReading() takes it.
    const std::byte seal{0};
    if (spec_.is_reader && ::send(session_end_.get(), &seal, 1, MSG_NOSIGNAL) != 1) {
      return FailErrno("cannot set up a socket");
    }
    return {};
  }

  void Run() {
    Result<void> connected = spec_.is_reader ? AwaitWriter() : ReachReader();
    {
      const std::lock_guard lock(session_.mutex);
      if (connected) ++session_.ready;
      if (!connected && !session_.setup_error) {
        session_.setup_error =
            HostError{StatusOf(connected.error()),
                      {connected.error().code, spec_.label + ": " + connected.error().message}};
      }
      session_.changed.notify_all();
    }
    if (!connected) return;
    const Result<void> moved = spec_.is_reader ? Read() : Write();
    report_.is_complete = moved.has_value();
    if (!moved) {
      report_.error = moved.error().message;
      report_.is_timed_out = moved.error().code == ErrorCode::kTimeout;
    }
    local_.Reset();
    peer_.Reset();
  }

 private:
  Result<void> AwaitWriter() {
    while (true) {
      auto peer = Accept(listener_.get(), session_.patience());
      if (!peer) return Fail(peer);
      Patience greeting_time = session_.patience();
      greeting_time.deadline =
          std::min(greeting_time.deadline, steady_clock::now() + kGreetingTime);
      std::array<std::byte, kGreetingSize> greeting{};
      if (!ReceiveAll(peer->get(), greeting, greeting_time)) continue;
      const auto node = ParseGreeting(greeting);
      if (!node || (spec_.address.node != 0 && *node != spec_.address.node)) continue;
      if (!SendAll(peer->get(), std::as_bytes(std::span(kWelcome)), greeting_time)) continue;
      peer_ = std::move(*peer);
      listener_.Reset();
      return {};
    }
  }

  // The reader may not have been started yet.
  Result<void> ReachReader() {
    milliseconds pause = kFirstRetry;
    while (true) {
      auto tried = TryReader();
      if (tried || tried.error().code == ErrorCode::kTimeout ||
          tried.error().code == ErrorCode::kCancelled) {
        return tried;
      }
      Patience one_pause = session_.patience();
      one_pause.deadline = std::min(one_pause.deadline, steady_clock::now() + pause);
      const auto paused = WaitFor(session_.stop_event.get(), POLLIN, one_pause);
      if (paused || paused.error().code == ErrorCode::kCancelled) {
        return Fail(ErrorCode::kCancelled, "stopped");
      }
      if (steady_clock::now() >= session_.deadline) {
        return Fail(ErrorCode::kTimeout, tried.error().message);
      }
      pause = std::min(2 * pause, kLastRetry);
    }
  }
  Result<void> TryReader() {
    auto peer = Connect(spec_.address.ip, spec_.address.port, session_.patience());
    if (!peer) return Fail(peer);
    const auto greeting = MakeGreeting(session_.node);
    if (auto sent = SendAll(peer->get(), greeting, session_.patience()); !sent) {
      return Fail(ErrorCode::kUnavailable, sent.error().message);
    }
    std::array<std::byte, kWelcome.size()> welcome{};
    auto got = ReceiveAll(peer->get(), welcome, session_.patience());
    if (!got) {
      return got.error().code == ErrorCode::kTimeout || got.error().code == ErrorCode::kCancelled
                 ? got
                 : Fail(ErrorCode::kUnavailable, got.error().message);
    }
    if (!std::ranges::equal(welcome, std::as_bytes(std::span(kWelcome)))) {
      return Fail(ErrorCode::kUnavailable, "what listens there is no session");
    }
    peer_ = std::move(*peer);
    return {};
  }

  Result<void> Read() {
    std::vector<std::byte> buffer(kMaxFrameSize + kFrameHeaderSize);
    FrameReader frames;
    while (frames.state() == FrameReader::State::kOpen) {
      const auto got = ReceiveSome(peer_.get(), buffer, session_.patience());
      if (!got && IsOurDecision(got.error())) return Fail(got);
      if (!got || *got == 0) {
        return Fail(ErrorCode::kUnavailable, "broken off: the writer went away before its end");
      }
      std::span<const std::byte> arrived = std::span(buffer).first(*got);
      while (!arrived.empty() && frames.state() == FrameReader::State::kOpen) {
        const FrameReader::Step step = frames.Next(arrived);
        arrived = arrived.subspan(step.taken);
        if (auto passed = PassOn(step.data); !passed) return passed;
      }
    }
    const bool is_good = frames.state() == FrameReader::State::kEnded;
    const std::byte verdict = is_good ? kVerdictGood : kVerdictBad;
    static_cast<void>(SendAll(peer_.get(), std::span(&verdict, 1), session_.patience()));
    if (!is_good) {
      return Fail(ErrorCode::kInvalid, fmt::format("corrupted upon eof: {}", frames.error()));
    }
    report_.digest = frames.digest();
    std::byte seal;
    static_cast<void>(ReceiveSome(local_.get(), std::span(&seal, 1), session_.patience()));
    return {};
  }

  Result<void> PassOn(std::span<const std::byte> data) {
    report_.bytes += data.size();
    if (!is_draining_ && !data.empty()) {
      auto sent = SendAll(local_.get(), data, session_.patience());
      if (sent) return {};
      if (IsOurDecision(sent.error())) return sent;
      // The session has ended, well or not: it is not known yet. The writer shall not hang.
      is_draining_ = true;
    }
    report_.drained += data.size();
    return {};
  }

  Result<void> Write() {
    std::vector<std::byte> buffer(kMaxFrameSize);
    std::vector<std::byte> out;
    FrameWriter frames;
    while (true) {
      short local = 0;
      short peer = 0;
      auto waited = WaitForEither(local_.get(), POLLIN, peer_.get(), POLLIN | POLLRDHUP,
                                  session_.patience(), local, peer);
      if (!waited) return waited;
      // The reader says nothing before the end.
      if (peer != 0) return Fail(ErrorCode::kUnavailable, "broken off: the reader went away");
      const auto got = ReceiveSome(local_.get(), buffer, session_.patience());
      if (!got) return Fail(got);
      if (*got == 0) break;
      out.clear();
      frames.AppendFrame(std::span(buffer).first(*got), out);
      if (auto sent = Send(out); !sent) return sent;
      report_.bytes += *got;
    }
    if (auto ended = AwaitEndOfSession(); !ended) return ended;
    out.clear();
    frames.AppendEnd(out);
    if (auto sent = Send(out); !sent) return sent;
    std::byte verdict{};
    auto got = ReceiveAll(peer_.get(), std::span(&verdict, 1), session_.patience());
    if (!got && IsOurDecision(got.error())) return got;
    if (!got) return Fail(ErrorCode::kUnavailable, "broken off: the reader went away at the end");
    if (verdict != kVerdictGood) {
      return Fail(ErrorCode::kInvalid, "corrupted upon eof: the reader has another digest");
    }
    report_.digest = frames.digest();
    return {};
  }

  Result<void> Send(std::span<const std::byte> bytes) {
    auto sent = SendAll(peer_.get(), bytes, session_.patience());
    if (sent || IsOurDecision(sent.error())) return sent;
    return Fail(ErrorCode::kUnavailable, "broken off: the reader went away");
  }

  // The session has closed its end, but only one that ended well may end its stream.
  Result<void> AwaitEndOfSession() {
    std::unique_lock lock(session_.mutex);
    while (!session_.has_ended) {
      if (session_.is_stopped) return Fail(ErrorCode::kCancelled, "stopped");
      if (session_.changed.wait_until(lock, session_.deadline) == std::cv_status::timeout) {
        return Fail(ErrorCode::kTimeout, "the timeout has passed");
      }
    }
    return {};
  }

  static bool IsOurDecision(const Error& error) {
    return error.code == ErrorCode::kTimeout || error.code == ErrorCode::kCancelled;
  }

  LinkSpec spec_;
  Session& session_;
  LinkReport report_;
  UniqueFd listener_, peer_, local_, session_end_;
  bool is_draining_ = false;
};

}  // namespace

struct Links::State {
  Session session;
  std::vector<std::unique_ptr<Link>> links;
  std::vector<std::thread> threads;

  // Ends every thread, whatever it does.
  void Stop() {
    {
      const std::lock_guard lock(session.mutex);
      session.is_stopped = true;
      session.changed.notify_all();
    }
    ::eventfd_write(session.stop_event.get(), 1);
    Join();
  }
  void Join() {
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }

  HostResult<void> ListenForAll(const NetworkOptions& options);
  HostResult<void> StartThreads();
};

// Readers listen before anybody is asked or connected to, so that no order of starting nodes can
// make them wait for each other.
HostResult<void> Links::State::ListenForAll(const NetworkOptions& options) {
  NameParcel request{.node = options.node, .binds = {}, .connects = {}};
  std::vector<Link*> asking;
  UniqueFd name_socket;
  std::uint32_t own_ip = 0;
  const bool needs_names =
      std::ranges::any_of(links, [](const auto& link) { return link->spec().address.node != 0; });
  if (needs_names) {
    if (!options.name_server || options.node == 0) {
      return FailHost(HostStatus::kManifest, ErrorCode::kInvalid,
                      "a source with a node number and no port needs the keys NameServer and Node");
    }
    auto socket = ConnectDatagram(options.name_server->ip, options.name_server->port);
    if (!socket) return FailAs(HostStatus::kUnavailable, "NameServer", socket.error());
    name_socket = std::move(*socket);
    const auto ip = OwnIp(name_socket.get());
    if (!ip) return FailAs(HostStatus::kUnavailable, "NameServer", ip.error());
    own_ip = *ip;
  }
  for (const auto& link : links) {
    const channels::NetworkAddress& address = link->spec().address;
    if (!link->spec().is_reader) {
      if (address.node == 0) continue;
      request.connects.push_back({address.node, 0});
      asking.push_back(link.get());
      continue;
    }
    const auto port = link->StartListening(address.node != 0 ? own_ip : address.ip);
    if (!port) return FailAs(HostStatus::kUnavailable, link->spec().label, port.error());
    if (address.node != 0) request.binds.push_back({address.node, *port});
  }
  if (!needs_names) return {};
  const auto answer = AskNameServer(name_socket.get(), request, session.patience());
  if (!answer) return FailAs(StatusOf(answer.error()), "name service failed", answer.error());
  for (std::size_t i = 0; i < asking.size(); ++i) asking[i]->SetPeer((*answer)[i]);
  return {};
}

HostResult<void> Links::State::StartThreads() {
  for (const auto& link : links) {
    if (auto made = link->MakeLocal(); !made) {
      return FailAs(HostStatus::kUnavailable, link->spec().label, made.error());
    }
  }
  try {
    for (const auto& link : links) threads.emplace_back([one = link.get()] { one->Run(); });
  } catch (const std::system_error& error) {
    return FailHost(HostStatus::kUnavailable, ErrorCode::kUnavailable,
                    fmt::format("cannot start a thread: {}", error.what()));
  }
  std::unique_lock lock(session.mutex);
  session.changed.wait(lock,
                       [this] { return session.setup_error || session.ready == links.size(); });
  if (session.setup_error) return std::unexpected(*session.setup_error);
  return {};
}

Links::Links(std::unique_ptr<State> state) : state_(std::move(state)) {}

Links::~Links() { state_->Stop(); }

HostResult<std::unique_ptr<Links>> Links::Open(const std::vector<LinkSpec>& specs,
                                               const NetworkOptions& options) {
  if (specs.size() > kMaxLinks) {
    return FailHost(HostStatus::kManifest, ErrorCode::kLimitExceeded,
                    fmt::format("{} network sources; the limit is {}", specs.size(), kMaxLinks));
  }
  auto state = std::make_unique<State>();
  state->session.deadline = options.deadline;
  state->session.node = options.node;
  state->session.stop_event.Reset(::eventfd(0, EFD_CLOEXEC));
  if (!state->session.stop_event.is_open()) {
    return std::unexpected(HostError{HostStatus::kUnavailable, ErrnoError("eventfd", errno)});
  }
  for (const LinkSpec& spec : specs) {
    state->links.push_back(std::make_unique<Link>(spec, state->session));
  }
  HostResult<void> made = state->ListenForAll(options);
  if (made) made = state->StartThreads();
  std::unique_ptr<Links> links(new Links(std::move(state)));  // stops the threads if it goes
  if (!made) return std::unexpected(std::move(made).error());
  return links;
}

UniqueFd Links::TakeSessionEnd(std::size_t link) { return state_->links[link]->TakeSessionEnd(); }

std::vector<LinkReport> Links::Finish(bool is_clean) {
  if (is_clean) {
    const std::lock_guard lock(state_->session.mutex);
    state_->session.has_ended = true;
    state_->session.changed.notify_all();
  } else {
    state_->Stop();
  }
  state_->Join();
  std::vector<LinkReport> reports;
  for (const auto& link : state_->links) reports.push_back(link->report());
  return reports;
}

}  // namespace zerocloud::network
