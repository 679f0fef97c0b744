// The Asio and Beast types of this folder. Internal to it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <ctime>

namespace zerocloud::server {

namespace net = boost::asio;
namespace beast = boost::beast;

// Where one connection's handlers run, one at a time: a context that one thread runs, or a strand
// of one that several do.
using Executor = net::any_io_executor;
using Socket = net::basic_stream_socket<net::generic::stream_protocol, Executor>;
using Timer = net::steady_timer;

// The time of steady_clock, some milliseconds late: asked for several times for each request, where
// the exact one costs more than all that is done with it.
inline std::chrono::steady_clock::time_point CoarseNow() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) +
                                               std::chrono::nanoseconds(now.tv_nsec));
}

inline constexpr auto kAwait = net::as_tuple(net::use_awaitable);

}  // namespace zerocloud::server
