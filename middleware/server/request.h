// Request: one request under way on a connection, and the Asio and Beast types of this folder.
// Internal to the server folder.
#pragma once

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
#include <chrono>
#include <memory>

#include "middleware/http/message.h"
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

}  // namespace zerocloud::server
