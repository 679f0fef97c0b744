// Wire::SpliceTo: bytes that go from one socket to another without passing through this process.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "channels/base/unique_fd.h"
#include "middleware/http/ack_now.h"
#include "middleware/server/wire.h"

namespace zerocloud::server {
namespace {

using boost::system::error_code;

constexpr int kPipeBytes = 256 * 1024;
constexpr int kAtOnce = 16;
constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  Pipe pipe;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return pipe;
  pipe = {UniqueFd(ends[0]), UniqueFd(ends[1])};
  // Where so much is not allowed it stays as it was made.
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  return pipe;
}

error_code LastError() { return {errno, boost::system::system_category()}; }

// One splice. 0 and no error: nothing can be moved now, or (`is_end`) nothing will come any more.
struct Carried {
  std::size_t count = 0;
  bool is_end = false;
  error_code error;
};
Carried Carry(int from, int to, std::uint64_t count) {
  // Far less than a system call may move at once.
  const std::size_t at_most = std::min<std::uint64_t>(count, std::uint64_t{1} << 30U);
  ssize_t moved = -1;
  do {
    moved = ::splice(from, nullptr, to, nullptr, at_most, kFlags);
  } while (moved < 0 && errno == EINTR);
  if (moved > 0) return {static_cast<std::size_t>(moved), false, {}};
  if (moved == 0) return {0, true, {}};
  if (errno == EAGAIN) return {};
  return {0, false, LastError()};
}

}  // namespace

net::awaitable<error_code> Wire::WaitFor(net::socket_base::wait_type what,
                                         Clock::time_point* deadline, Limit limit) {
  SetDeadline(*deadline, limit);
  const auto [error] = co_await socket_.async_wait(what, kAwait);
  *deadline = Clock::time_point::max();
  if (!error && !socket_.is_open()) co_return Told(net::error::operation_aborted);
  co_return Told(error);
}

net::awaitable<Wire::Spliced> Wire::SpliceTo(Wire* to, std::uint64_t count, Limit read_limit,
                                             Limit write_limit) {
  Spliced result;
  const Pipe pipe = MakePipe();
  if (!pipe.read.is_open()) co_return result;
  std::size_t in_pipe = 0;
  int at_once = 0;
  while (result.count < count) {
    // Closed by whoever gave this exchange up: its descriptor may be another's by now.
    if (!socket_.is_open()) result.read_error = Told(net::error::operation_aborted);
    if (!to->socket_.is_open()) result.write_error = to->Told(net::error::operation_aborted);
    if (result.read_error || result.write_error) break;
    const std::uint64_t wanted = count - result.count - in_pipe;
    Carried in;
    if (wanted > 0) in = Carry(socket_.native_handle(), pipe.write.get(), wanted);
    in_pipe += in.count;
    result.read_error = in.is_end ? error_code(net::error::eof) : in.error;
    if (result.read_error) break;
    if (in_pipe == 0) {
      at_once = 0;
      http::AckNow(socket_.native_handle());
      result.read_error =
          co_await WaitFor(net::socket_base::wait_read, &read_deadline_, read_limit);
      continue;
    }
    const Carried out = Carry(pipe.read.get(), to->socket_.native_handle(), in_pipe);
    in_pipe -= out.count;
    result.count += out.count;
    result.write_error = out.error;
    if (!out.error && (out.count == 0 || ++at_once == kAtOnce)) {
      at_once = 0;  // also so that others have their turn
      result.write_error =
          co_await to->WaitFor(net::socket_base::wait_write, &to->write_deadline_, write_limit);
    }
  }
  co_return result;
}

}  // namespace zerocloud::server
