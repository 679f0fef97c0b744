// A node that does what a test says, for the tests of what hostile or failing nodes do.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "middleware/peer/secure_connection.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {

class ScriptedNode {
 public:
  using Script = std::function<void(peer::SecureConnection&, const Offer&)>;

  // What to do about a fetch or a put; the connection is closed then.
  using Orders = std::function<void(peer::SecureConnection&, const peer::Frame&)>;

  // Says that it has so many slots and runs `script` for each offer; then closes the connection.
  ScriptedNode(std::string host, peer::KeyFile& keys, std::size_t slots, Script script,
               Orders orders = {})
      : ScriptedNode(std::move(host), keys, Hello{.slots = slots}, std::move(script),
                     std::move(orders)) {}
  // The same with more to say.
  ScriptedNode(std::string host, peer::KeyFile& keys, const Hello& hello, Script script,
               Orders orders = {})
      : host_(std::move(host)),
        keys_(keys),
        hello_(hello),
        script_(std::move(script)),
        orders_(std::move(orders)) {
    Result<UniqueFd> listening = peer::Listen(host_, port_);
    if (listening) listening_ = std::move(*listening);
    accepting_ = std::thread([this] { AcceptAll(); });
  }
  ~ScriptedNode() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(stopping_.get(), &one, sizeof one);
    accepting_.join();
    for (std::thread& thread : threads_) thread.join();
  }
  ScriptedNode(const ScriptedNode&) = delete;
  ScriptedNode& operator=(const ScriptedNode&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int offers() const { return offers_; }
  [[nodiscard]] int greetings() const { return greetings_; }
  // True when the test is over; for scripts that wait.
  [[nodiscard]] bool WaitForStop(int milliseconds) const {
    pollfd stop{stopping_.get(), POLLIN, 0};
    return ::poll(&stop, 1, milliseconds) > 0;
  }

 private:
  // Takes all of a stream and says that it is well.
  static void Swallow(peer::SecureConnection& connection) {
    if (!connection.Send(peer::FrameKind::kCredit, Encode(Credit{kMostCredit, false}))) return;
    while (true) {
      const auto frame = connection.Receive(std::chrono::minutes(1)).value_or(std::nullopt);
      if (!frame) return;
      if (frame->kind != peer::FrameKind::kDigest) continue;
      if (!connection.Send(peer::FrameKind::kCredit, Encode(Credit{0, true}))) return;
    }
  }

  void AcceptAll() {
    std::array<pollfd, 2> waiting = {pollfd{listening_.get(), POLLIN, 0},
                                     pollfd{stopping_.get(), POLLIN, 0}};
    while (::poll(waiting.data(), waiting.size(), -1) > 0 && waiting[1].revents == 0) {
      UniqueFd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      threads_.emplace_back(
          [this, moved = std::move(socket)]() mutable { Serve(std::move(moved)); });
    }
  }
  void Serve(UniqueFd socket) {
    auto connection = peer::SecureConnection::Accept(std::move(socket), keys_, {});
    while (connection && !WaitForStop(0)) {
      const auto frame = (*connection)->Receive(std::chrono::milliseconds(20));
      if (!frame) return;
      const std::optional<peer::Frame>& next = *frame;
      if (!next) continue;
      if (next->kind == peer::FrameKind::kHello) {
        ++greetings_;
        if (!(*connection)->Send(peer::FrameKind::kHello, Encode(hello_))) return;
      }
      const bool is_order =
          next->kind == peer::FrameKind::kFetch || next->kind == peer::FrameKind::kPut;
      if (is_order && orders_) orders_(**connection, *next);
      if (is_order) return;
      if (next->kind == peer::FrameKind::kStream) return Swallow(**connection);
      if (next->kind != peer::FrameKind::kStart) continue;
      ++offers_;
      const Result<Offer> offer = ParseOffer(next->payload);
      if (offer) script_(**connection, *offer);
      return;
    }
  }

  const std::string host_;
  peer::KeyFile& keys_;
  const Hello hello_;
  const Script script_;
  const Orders orders_;
  std::uint16_t port_ = 0;
  UniqueFd listening_;
  UniqueFd stopping_{::eventfd(0, EFD_CLOEXEC)};
  std::atomic<int> offers_ = 0;
  std::atomic<int> greetings_ = 0;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

}  // namespace zerocloud::remote
