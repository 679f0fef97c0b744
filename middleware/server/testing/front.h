// A front server before a scripted upstream whose every byte the test chooses.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "middleware/server/server.h"
#include "middleware/server/testing/listening.h"
#include "middleware/server/testing/raw_client.h"

namespace zerocloud::server {

class ForwardEverything : public http::Handler {
 public:
  Begun Begin(const http::RequestHead&) override { return http::Forward{}; }
};

// A listening socket on a free port of 127.0.0.1 that serves one scripted connection after another.
class ScriptedUpstream {
 public:
  using Script = std::function<void(RawClient&, int connection)>;

  ScriptedUpstream(int connections, Script script)
      : ScriptedUpstream(ListenOnLoopback(8), connections, std::move(script)) {}
  ScriptedUpstream(Listening listener, int connections, Script script)
      : listener_(std::move(listener)) {
    thread_ = std::thread([this, connections, script = std::move(script)] {
      for (int i = 0; i < connections; ++i) {
        RawClient peer(UniqueFd(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)));
        script(peer, i);
      }
    });
  }
  ~ScriptedUpstream() {
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    thread_.join();
  }
  ScriptedUpstream(const ScriptedUpstream&) = delete;
  ScriptedUpstream& operator=(const ScriptedUpstream&) = delete;

  [[nodiscard]] std::uint16_t port() const { return listener_.port; }

 private:
  Listening listener_;
  std::thread thread_;
};

class ForwardingTest : public ::testing::Test {
 protected:
  void StartFront(std::uint16_t upstream_port,
                  std::chrono::milliseconds response_timeout = std::chrono::seconds(10)) {
    Settings settings;
    settings.upstream = UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = upstream_port}},
                                        .connect_timeout = std::chrono::seconds(5),
                                        .response_timeout = response_timeout,
                                        .idle_timeout = std::chrono::seconds(20),
                                        .idle_connections = 4};
    StartWith(std::move(settings));
  }

  void StartWith(Settings settings) {
    Options options;
    options.address.clear();
    options.threads = threads_;
    options.settings = std::move(settings);
    auto server = Server::Start(std::move(options), handler_);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    front_ = std::move(*server);
  }

  RawClient Connect() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    front_->Adopt(UniqueFd(ends[0]));
    return RawClient(UniqueFd(ends[1]));
  }

  // Connections to the upstream are kept by the thread that opened them.
  std::size_t threads_ = 1;
  ForwardEverything handler_;
  std::unique_ptr<Server> front_;
};

// What a scripted upstream reads: a request head (as if it were a response head).
inline std::string ReadHead(RawClient& peer) {
  const auto head = peer.Read(true);
  return head.has_value() ? head->head : "";
}

}  // namespace zerocloud::server
