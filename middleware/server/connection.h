// Connection: one client's stream of requests, as a coroutine on a strand. Internal to the server
// folder: includes Asio and Beast.
//
// Owned by shared_ptr: the coroutine holds one, the server's registry a weak one.
#pragma once

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "middleware/http/message.h"
#include "middleware/server/response_head.h"
#include "middleware/server/server.h"

namespace zerocloud::server {

namespace net = boost::asio;
namespace beast = boost::beast;

using Strand = net::strand<net::io_context::executor_type>;
using Socket = net::basic_stream_socket<net::generic::stream_protocol, Strand>;
using Stream = beast::basic_stream<net::generic::stream_protocol, Strand>;
using Timer = net::basic_waitable_timer<std::chrono::steady_clock,
                                        net::wait_traits<std::chrono::steady_clock>, Strand>;
using RequestParser = beast::http::request_parser<beast::http::buffer_body>;

inline constexpr auto kAwait = net::as_tuple(net::use_awaitable);

// What a connection needs of its server; outlives every connection.
struct Service {
  http::Handler* handler = nullptr;
  Limits limits;
  std::function<void(const RequestRecord&)> on_request;
  std::atomic<bool> is_draining = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, Service& service, std::string remote_address);

  // The whole life; returns when the socket is closed.
  net::awaitable<void> Run();

  // Both thread-safe. Drain: closes now if no request is under way, else after it (the service's
  // is_draining was set before). Abort: ends it at once; an exchange under way is destroyed.
  void Drain();
  void Abort();

 private:
  // What `done` of an exchange fills in, from any thread. The coroutine owns it; `done` only refers
  // to it weakly, so that a copy of `done` kept too long holds nothing of the server.
  struct Completion {
    explicit Completion(const Strand& on) : strand(on), wake(on) {}
    std::mutex mutex;
    std::optional<http::Response> answer;  // under mutex
    bool is_awaited = false;               // under mutex
    Strand strand;
    Timer wake;  // on the strand only
  };
  enum class Next : std::uint8_t { kRequest, kClose };
  enum class Pumped : std::uint8_t { kWhole, kAnswerNow, kGone };

  // The request under way and everything that ends with it.
  struct Request {
    RequestParser parser;
    http::RequestHead head;
    std::unique_ptr<http::Exchange> exchange;  // after the parser: it goes first
    http::Response response;                   // its body may refer to the exchange
    RequestRecord record;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    bool is_head = false;
    bool is_http_10 = false;
    bool wants_keep_alive = false;
    bool said_keep_alive = false;
    bool expects_continue = false;
    bool has_body = false;
    bool has_asked_for_body = false;
  };

  net::awaitable<Next> ServeOne();
  // The size of a complete head in buffer_; none: there is nothing (more) to serve, or it was
  // refused.
  net::awaitable<std::optional<std::size_t>> ReadHead();
  // Takes the head apart. Empty, or what is wrong with it.
  std::string ParseHead(std::size_t size);
  // Answers what never became a request.
  net::awaitable<void> Refuse(int status, std::string reason);
  net::awaitable<Next> ServeExchange();
  // Pushes the request body. kAnswerNow: the answer to a refused piece is in the request. kGone:
  // the client left or wrote nonsense, and that is answered as far as it can be.
  net::awaitable<Pumped> PumpBody();
  // Whether an answer came; else the client went away first.
  net::awaitable<bool> AwaitAnswer();
  net::awaitable<void> WatchPeer();
  // Sends request_->response and sees to the rest of the request body.
  net::awaitable<Next> Answer();
  // False: the connection cannot be used any more.
  net::awaitable<bool> WriteResponse(bool keep_alive);
  net::awaitable<bool> WriteBody(BodyFrame frame, std::string head);
  net::awaitable<bool> Write(std::span<const net::const_buffer> pieces);
  net::awaitable<bool> DrainBody();
  net::awaitable<void> LingeringClose();
  void Record();

  Service& service_;
  Strand strand_;
  Stream stream_;
  beast::flat_buffer buffer_;
  std::string remote_address_;
  std::unique_ptr<Request> request_;
  std::shared_ptr<Completion> completion_;  // while an answer is awaited
  bool is_idle_ = true;
  bool is_aborted_ = false;
};

}  // namespace zerocloud::server
