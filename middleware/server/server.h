// Server: HTTP/1.1 over stream sockets, in front of one Handler. It owns listening, connections,
// framing, limits, deadlines and transaction ids; meaning is the handler's (http/message.h).
//
// Threads: the server runs its own pool. A connection is one coroutine, so its handler calls come
// one after another. Without an upstream they come from any thread of the pool, and may block on
// local files; with one a connection stays on its thread, with others, and only what is read from
// local files for it (results of jobs) holds them up. Errors: what a peer does ends its connection,
// never the server. Malformed requests get a 4xx with a sentence and the connection closes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/http/message.h"

namespace zerocloud::server {

// Each value bounds what one peer can make the server hold or wait for.
struct Limits {
  std::size_t request_line_bytes = 8192;
  std::size_t head_bytes = 65536;
  std::size_t head_fields = 200;
  // Bytes that a client may send ahead while its request is being answered.
  std::size_t pipelined_bytes = 65536;
  // Of a request body that nobody wants, at most so much is read to keep the connection.
  std::uint64_t drained_bytes = 1 << 20;
  std::size_t connections = 4096;
  std::chrono::milliseconds idle_timeout{60'000};   // between requests
  std::chrono::milliseconds head_timeout{30'000};   // from a head's first byte to its last
  std::chrono::milliseconds read_timeout{60'000};   // for the next piece of a body
  std::chrono::milliseconds write_timeout{60'000};  // for the peer to take a piece
  std::chrono::milliseconds linger_timeout{2'000};  // for the peer to close after a refusal
};

// One finished request, for logs and metrics.
struct RequestRecord {
  const http::RequestHead* head = nullptr;  // valid while on_request() runs
  std::string trans_id;                     // as the client was told
  bool is_http_10 = false;
  int status = 0;               // 499: the client went away before an answer
  std::uint64_t bytes_in = 0;   // of the body
  std::uint64_t bytes_out = 0;  // of the body
  std::chrono::microseconds duration{0};
};

struct UpstreamEndpoint {
  std::string host;  // name or address, without brackets
  std::uint16_t port = 80;
  bool is_tls = false;

  friend bool operator==(const UpstreamEndpoint&, const UpstreamEndpoint&) = default;
};

// Where requests go that the handler answers with http::Forward.
struct UpstreamOptions {
  std::vector<UpstreamEndpoint> endpoints;  // equivalent; used in turn
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds response_timeout{60'000};  // for the next bytes that it owes
  // Shorter than the endpoint's own (Swift: 60 s), so that it seldom closes first.
  std::chrono::milliseconds idle_timeout{20'000};
  // An endpoint that could not be reached is not asked again for so long, unless all are like it.
  std::chrono::milliseconds left_out_for{5'000};
  std::size_t idle_connections = 64;  // kept, per endpoint
  std::size_t connections = 1024;     // open, per endpoint; past that, requests wait
  std::string tls_authorities = {};   // PEM file; empty: those of the system

  friend bool operator==(const UpstreamOptions&, const UpstreamOptions&) = default;
};

// How the connections to one endpoint are just now.
struct UpstreamState {
  std::string endpoint;  // "host:port"
  std::size_t idle = 0;  // kept for the next request
  std::size_t in_use = 0;
  bool is_left_out = false;  // it could not be reached a moment ago
};

// What can change while the server runs.
struct Settings {
  Limits limits;
  std::optional<UpstreamOptions> upstream;
  // PEM files; both or none. With them only TLS is spoken.
  std::string tls_certificate;
  std::string tls_key;
  // Every connection must begin with a PROXY protocol header: a load balancer's, nobody else can
  // connect.
  bool expects_proxy_header = false;
};

struct Options {
  std::string address = "127.0.0.1";  // numeric; empty: do not listen, only Adopt()
  std::uint16_t port = 0;             // 0: any free one
  std::size_t threads = 4;
  Settings settings;
  std::function<void(const RequestRecord&)> on_request;  // thread-safe; may be empty
};

class Server {
 public:
  // Binds, listens and starts to serve. `handler` must outlive the server.
  static Result<std::unique_ptr<Server>> Start(Options options, http::Handler& handler);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // Stop without grace

  [[nodiscard]] std::uint16_t port() const;
  // How many connections are open now.
  [[nodiscard]] std::size_t connection_count() const;

  // Of each endpoint; and how many requests wait for a connection to one of them.
  [[nodiscard]] std::vector<UpstreamState> upstream_states() const;
  [[nodiscard]] std::size_t upstream_waiting() const;

  // Serves a connected stream socket (for tests: one end of a socketpair).
  void Adopt(UniqueFd connection);

  // Takes effect for connections and requests that begin from now on. An error leaves all as it
  // was; whether there is an upstream cannot change.
  Result<void> Change(Settings settings);

  // Accepts no more, closes idle connections, lets requests under way end for at most `grace`, then
  // cancels them. Blocks until every connection is gone. Idempotent; not from a handler.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zerocloud::server
