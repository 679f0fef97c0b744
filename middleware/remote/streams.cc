#include "middleware/remote/streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "middleware/digest/digest.h"
#include "middleware/remote/node_session.h"
#include "middleware/remote/send_bytes.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t kWindow = 256 << 10;  // granted at once

Result<void> SetNonblocking(int pipe) {
  const int flags = ::fcntl(pipe, F_GETFL);
  if (flags < 0 || ::fcntl(pipe, F_SETFL, flags | O_NONBLOCK) != 0) {
    return FailErrno("cannot use a pipe");
  }
  return {};
}

std::unexpected<Error> Silent(const peer::ConnectionLimits& patience) {
  return Fail(ErrorCode::kTimeout,
              fmt::format("it has been silent for {} ms", patience.silence.count()));
}

std::unexpected<Error> Unexpected(const peer::Frame& frame) {
  return Fail(ErrorCode::kInvalid,
              fmt::format("it sent a {} frame where there is none", ToString(frame.kind)));
}

// Waits for one of them, a heartbeat at most.
void Wait(std::array<pollfd, 2>& waiting, const peer::ConnectionLimits& patience) {
  ::poll(waiting.data(), waiting.size(), static_cast<int>(HeartbeatInterval(patience).count()));
}

}  // namespace

Result<std::shared_ptr<StreamNews>> StreamNews::Make() {
  auto news = std::make_shared<StreamNews>();
  news->event_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!news->event_.is_open()) return FailErrno("cannot watch a stream");
  return news;
}

void StreamNews::SetError(const std::string& name, Error why, UniqueFd pipe) {
  why.message = fmt::format("{}: {}", name, why.message);
  {
    const std::lock_guard lock(mutex_);
    if (pipe.is_open()) pipes_.push_back(std::move(pipe));
    if (!error_) error_ = std::move(why);
  }
  Signal();
}

void StreamNews::Signal() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(event_.get(), &one, sizeof one);
}

void StreamNews::Clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(event_.get(), &count, sizeof count);
}

std::optional<Error> StreamNews::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

Streams::~Streams() {
  for (auto& [thread, is_over] : drains_) thread.join();
}

Result<void> Streams::Add(const Key& key, std::string name, UniqueFd into,
                          std::shared_ptr<StreamNews> news) {
  auto inlet = std::make_shared<Inlet>();
  inlet->name = std::move(name);
  inlet->into = std::move(into);
  inlet->news = std::move(news);
  const std::lock_guard lock(mutex_);
  if (!inlets_.emplace(key, std::move(inlet)).second) {
    return Fail(ErrorCode::kInvalid, "a stream of that id is here already");
  }
  return {};
}

std::shared_ptr<Streams::Inlet> Streams::Claim(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = inlets_.find(key);
  if (found == inlets_.end() || found->second == nullptr) return nullptr;
  found->second->news->Signal();
  return std::exchange(found->second, nullptr);
}

bool Streams::IsTaken(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = inlets_.find(key);
  return found != inlets_.end() && found->second == nullptr;
}

Result<UniqueFd> Streams::Take(const Key& key) {
  const std::shared_ptr<Inlet> inlet = Claim(key);
  if (inlet == nullptr) return Fail(ErrorCode::kInvalid, "no stream of that id waits here");
  return std::move(inlet->into);
}

void Streams::Remove(const Key& key) {
  const std::lock_guard lock(mutex_);
  inlets_.erase(key);
}

void Streams::Drain(std::vector<UniqueFd> pipes) {
  if (pipes.empty()) return;
  const std::lock_guard lock(drains_mutex_);
  std::erase_if(drains_, [](auto& drain) {
    if (!*drain.second) return false;
    drain.first.join();
    return true;
  });
  auto is_over = std::make_shared<std::atomic<bool>>(false);
  auto drain = [is_over, moved = std::move(pipes)] {
    std::string scrap(kPieceBytes, '\0');
    std::vector<pollfd> waiting;
    for (const UniqueFd& pipe : moved) waiting.push_back({pipe.get(), POLLIN, 0});
    while (!waiting.empty()) {
      if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
      std::erase_if(waiting, [&](const pollfd& pipe) {
        if (pipe.revents == 0) return false;
        const ssize_t got = ::read(pipe.fd, scrap.data(), scrap.size());
        return got == 0 || (got < 0 && errno != EINTR);
      });
    }
    *is_over = true;
  };
  try {
    drains_.emplace_back(std::thread(std::move(drain)), is_over);
  } catch (const std::system_error&) {
    return;  // without a thread the pipes are closed, and who writes to them fails
  }
}

// Feeds one pipe from a connection.
class Feeding {
 public:
  Feeding(peer::SecureConnection& connection, UniqueFd into, const peer::ConnectionLimits& patience)
      : connection_(connection), into_(std::move(into)), patience_(patience) {}

  Result<void> Run() {
    if (Result<void> set = SetNonblocking(into_.get()); !set) return set;
    if (Result<void> granted = Grant(kWindow); !granted) return granted;
    while (true) {
      const Result<bool> taken = TakeFrames();
      if (!taken) return Fail(taken);
      is_complete_ = is_complete_ || *taken;
      // After the frames, or what they used up would be granted again only after the next wait.
      if (Result<void> fed = Feed(); !fed) return fed;
      if (is_complete_ && pending_.empty()) break;
      const steady_clock::time_point now = steady_clock::now();
      if (now - last_heard_ > patience_.silence) return Silent(patience_);
      if (now - last_said_ >= HeartbeatInterval(patience_)) {
        if (Result<void> sent = Say(peer::FrameKind::kHeartbeat, {}); !sent) return sent;
      }
      std::array<pollfd, 2> waiting = {pollfd{connection_.fd(), POLLIN, 0},
                                       pollfd{pending_.empty() ? -1 : into_.get(), POLLOUT, 0}};
      Wait(waiting, patience_);
    }
    into_.Reset();  // the reader sees the end only now that all is known to be right
    return Say(peer::FrameKind::kCredit, Encode(Credit{.bytes = 0, .is_complete = true}));
  }

  UniqueFd TakePipe() { return std::move(into_); }

 private:
  Result<void> Say(peer::FrameKind kind, std::string_view payload) {
    last_said_ = steady_clock::now();
    return connection_.Send(kind, payload);
  }
  Result<void> Grant(std::uint64_t bytes) {
    granted_ += bytes;
    return Say(peer::FrameKind::kCredit, Encode(Credit{.bytes = bytes}));
  }

  // What has come into the pipe, as far as there is room.
  Result<void> Feed() {
    std::size_t fed = 0;
    while (fed < pending_.size() && into_.is_open()) {
      const ssize_t put = ::write(into_.get(), pending_.data() + fed, pending_.size() - fed);
      if (put > 0) {
        fed += static_cast<std::size_t>(put);
      } else if (put < 0 && errno == EPIPE) {
        into_.Reset();  // the reader has ended: the rest is read and forgotten
      } else if (put < 0 && errno != EINTR) {
        if (errno == EAGAIN) break;
        return FailErrno("cannot write to a pipe");
      }
    }
    if (!into_.is_open()) fed = pending_.size();
    pending_.erase(0, fed);
    fed_ += fed;
    // Few words about much.
    if (fed_ < kWindow / 2) return {};
    return Grant(std::exchange(fed_, 0));
  }

  // Those that are there; true: the end has come, and it is right.
  Result<bool> TakeFrames() {
    while (true) {
      const Result<std::optional<peer::Frame>> frame = connection_.TryReceive();
      if (!frame) return Fail(frame);
      const std::optional<peer::Frame>& next = *frame;
      if (!next) return false;
      last_heard_ = steady_clock::now();
      if (next->kind == peer::FrameKind::kHeartbeat) continue;
      if (next->kind == peer::FrameKind::kDigest && !is_complete_) return TakeDigest(next->payload);
      if (next->kind != peer::FrameKind::kData || is_complete_) return Unexpected(*next);
      const Result<peer::DataView> data = peer::ReadData(next->payload);
      if (!data) return Fail(data);
      if (data->channel != 0 || data->bytes.size() > granted_) {
        return Fail(ErrorCode::kInvalid, "it sent more of a stream than it was granted");
      }
      granted_ -= data->bytes.size();
      size_ += data->bytes.size();
      sha256_.Add(data->bytes);
      if (into_.is_open()) {
        pending_ += data->bytes;
      } else {
        fed_ += data->bytes.size();
      }
    }
  }
  Result<bool> TakeDigest(std::string_view payload) {
    const Result<StreamEnd> end = ParseStreamEnd(payload);
    if (!end) return Fail(end);
    if (end->channel == 0 && end->size == size_ && end->sha256 == sha256_.Hex()) return true;
    return Fail(ErrorCode::kInvalid,
                "what it sent of a stream is not what the digest at its end says");
  }

  peer::SecureConnection& connection_;
  UniqueFd into_;  // not open: nobody reads any more
  const peer::ConnectionLimits patience_;
  steady_clock::time_point last_heard_ = steady_clock::now();
  steady_clock::time_point last_said_ = last_heard_;
  std::string pending_;        // has come and is not in the pipe yet; never beyond the window
  std::uint64_t granted_ = 0;  // and not used
  std::uint64_t fed_ = 0;      // and not granted again
  std::uint64_t size_ = 0;
  digest::Sha256 sha256_;
  bool is_complete_ = false;
};

Result<void> Streams::Serve(peer::SecureConnection& connection, const Key& key) {
  const std::shared_ptr<Inlet> inlet = Claim(key);
  if (inlet == nullptr) {
    return Fail(ErrorCode::kInvalid, "it asked for a stream that does not wait here");
  }
  Feeding feeding(connection, std::move(inlet->into), patience_);
  Result<void> fed = feeding.Run();
  if (!fed) inlet->news->SetError(inlet->name, fed.error(), feeding.TakePipe());
  return fed;
}

Result<std::unique_ptr<Outlet>> Outlet::Start(std::unique_ptr<peer::SecureConnection> connection,
                                              const std::string& stream, std::string name,
                                              UniqueFd from, const peer::ConnectionLimits& patience,
                                              std::shared_ptr<StreamNews> news) {
  if (Result<void> set = SetNonblocking(from.get()); !set) return Fail(set);
  std::unique_ptr<Outlet> outlet(new Outlet(std::move(connection), std::move(name), std::move(from),
                                            patience, std::move(news)));
  outlet->last_heard_ = steady_clock::now();
  Result<void> asked =
      outlet->connection_->Send(peer::FrameKind::kStream, Encode(StreamOrder{stream}));
  if (!asked) return Fail(asked);
  const steady_clock::time_point until = steady_clock::now() + patience.silence;
  while (outlet->credit_ == 0) {
    const Result<bool> taken = outlet->TakeFrames();
    if (!taken) return Fail(taken);
    if (steady_clock::now() > until) return Silent(patience);  // heartbeats are no answer
    std::array<pollfd, 2> waiting = {pollfd{outlet->connection_->fd(), POLLIN, 0},
                                     pollfd{-1, 0, 0}};
    if (outlet->credit_ == 0) Wait(waiting, patience);
  }
  try {
    outlet->thread_ = std::thread([raw = outlet.get()] {
      Result<void> pumped = raw->Pump();
      if (!pumped) return raw->news_->SetError(raw->name_, pumped.error());
      raw->is_done_ = true;
      raw->news_->Signal();
    });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable, fmt::format("no thread for a stream: {}", error.what()));
  }
  return outlet;
}

Outlet::~Outlet() {
  if (!is_done_) connection_->Abort();
  if (thread_.joinable()) thread_.join();
}

Result<bool> Outlet::TakeFrames() {
  while (true) {
    const Result<std::optional<peer::Frame>> frame = connection_->TryReceive();
    if (!frame) return Fail(frame);
    const std::optional<peer::Frame>& next = *frame;
    if (!next) return false;
    last_heard_ = steady_clock::now();
    if (next->kind == peer::FrameKind::kHeartbeat) continue;
    if (next->kind != peer::FrameKind::kCredit) return Unexpected(*next);
    const Result<Credit> credit = ParseCredit(next->payload);
    if (!credit) return Fail(credit);
    if (credit->is_complete) return true;
    credit_ = std::min(credit_ + credit->bytes, kMostCredit);
  }
}

Result<void> Outlet::Pump() {
  digest::Sha256 sha256;
  std::uint64_t size = 0;
  std::string piece(kPieceBytes, '\0');
  steady_clock::time_point last_said = steady_clock::now();
  while (true) {
    const Result<bool> is_confirmed = TakeFrames();
    if (!is_confirmed) return Fail(is_confirmed);
    if (*is_confirmed) {
      if (!from_.is_open()) return {};
      return Fail(ErrorCode::kInvalid, "it says that a stream is complete which has not ended");
    }
    const steady_clock::time_point now = steady_clock::now();
    if (now - last_heard_ > patience_.silence) return Silent(patience_);
    const bool may_send = from_.is_open() && credit_ > 0;
    ssize_t got = -1;
    if (may_send) {
      got = ::read(from_.get(), piece.data(), std::min<std::uint64_t>(piece.size(), credit_));
      if (got < 0 && errno != EINTR && errno != EAGAIN) return FailErrno("cannot read a pipe");
    }
    Result<void> sent;
    if (got > 0) {
      const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
      sha256.Add(bytes);
      size += bytes.size();
      credit_ -= bytes.size();
      last_said = now;
      sent = connection_->Send(peer::FrameKind::kData, peer::DataPayload(0, bytes));
      if (sent) continue;
    } else if (got == 0) {
      from_.Reset();
      last_said = now;
      sent = connection_->Send(peer::FrameKind::kDigest, Encode(StreamEnd{0, size, sha256.Hex()}));
    } else if (now - last_said >= HeartbeatInterval(patience_)) {
      last_said = now;
      sent = connection_->Send(peer::FrameKind::kHeartbeat, {});
    }
    if (!sent) return sent;
    std::array<pollfd, 2> waiting = {pollfd{connection_->fd(), POLLIN, 0},
                                     pollfd{may_send && got < 0 ? from_.get() : -1, POLLIN, 0}};
    Wait(waiting, patience_);
  }
}

}  // namespace zerocloud::remote
