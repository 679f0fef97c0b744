#include "middleware/upstream/range_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "sandbox/runtime/calls_asked.h"

namespace zerocloud::upstream {
namespace {

using runtime::AskedRange;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPiece = 1 << 20;  // answered, and fetched at least ahead of the answer
constexpr std::uint64_t kFirstAhead = 64 << 10;  // when a second read follows the first
constexpr std::uint64_t kMostAhead = 4 << 20;

// false: the other end is closed.
bool ReceiveAll(int socket, AskedRange& range) {
  std::span<std::byte> rest = std::as_writable_bytes(std::span(&range, 1));
  while (!rest.empty()) {
    const ssize_t got = ::recv(socket, rest.data(), rest.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    rest = rest.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool SendAll(int socket, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

Result<void> WriteAt(int file, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return FailErrno("cannot write fetched bytes to the spool");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

}  // namespace

// One object, and the thread that answers for it.
class RangeServer::Served {
 public:
  Served(UniqueFd socket, UniqueFd kept, std::uint64_t size, Fetch fetch,
         std::shared_ptr<store::LateFailure> failure)
      : socket_(std::move(socket)),
        kept_(std::move(kept)),
        size_(size),
        fetch_(std::move(fetch)),
        failure_(std::move(failure)),
        is_here_((size + kPage - 1) / kPage),
        thread_([this] { Run(); }) {}
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served() {
    const std::lock_guard lock(end_mutex_);
    if (socket_.is_open())
      ::shutdown(socket_.get(), SHUT_RDWR);  // the thread sees it, and is joined
  }

  [[nodiscard]] bool has_ended() const { return has_ended_; }

 private:
  void Run() {
    AskedRange range{};
    while (ReceiveAll(socket_.get(), range)) {
      const Result<bool> answered = Answer(range);
      if (!answered) failure_->Set(answered.error());
      if (!answered || !*answered) break;
    }
    // A session that waits for the rest of an answer sees the end. Nothing is held until the object
    // itself is taken away, which may be long after.
    const std::lock_guard lock(end_mutex_);
    socket_.Reset();
    kept_.Reset();
    is_here_ = {};
    has_ended_ = true;
  }

  // false: the other end is closed.
  Result<bool> Answer(const AskedRange& range) {
    const auto offset = static_cast<std::uint64_t>(range.offset);
    const auto size = static_cast<std::uint64_t>(range.size);
    if (range.offset < 0 || range.size <= 0 || offset > size_ || size > size_ - offset) {
      return Fail(ErrorCode::kInternal, "a session asked for bytes that its input does not have");
    }
    ahead_ = offset == next_ && offset != 0 ? std::clamp(ahead_ * 2, kFirstAhead, kMostAhead) : 0;
    next_ = offset + size;
    for (std::uint64_t at = offset; at < next_;) {
      const std::uint64_t end = std::min(next_, at + kPiece);
      if (Result<void> here = Bring(at, end); !here) return Fail(here);
      Result<bool> sent = Send(at, end);
      if (!sent || !*sent) return sent;
      at = end;
    }
    return true;
  }

  // Fetches the pages of [offset, end) that are not here yet, each run of them with one request,
  // the last with what is to be fetched ahead.
  Result<void> Bring(std::uint64_t offset, std::uint64_t end) {
    const std::size_t last = (end + kPage - 1) / kPage;
    const std::size_t most = std::min<std::size_t>(is_here_.size(), last + ahead_ / kPage);
    for (std::size_t page = offset / kPage; page < last;) {
      if (is_here_[page]) {
        ++page;
        continue;
      }
      std::size_t stop = page + 1;
      while (stop < most && !is_here_[stop]) ++stop;
      const std::uint64_t from = page * kPage;
      const std::uint64_t size = std::min(size_, stop * kPage) - from;
      std::uint64_t taken = 0;
      Result<void> fetched =
          fetch_(from, size, [&](std::span<const std::byte> bytes) -> Result<void> {
            if (bytes.size() > size - taken) {
              return Fail(ErrorCode::kUnavailable, "the upstream sent more bytes than asked for");
            }
            const Result<void> written = WriteAt(kept_.get(), bytes, from + taken);
            taken += bytes.size();
            return written;
          });
      if (!fetched) return fetched;
      if (taken != size) {
        return Fail(ErrorCode::kUnavailable,
                    fmt::format("the upstream sent {} bytes of {} asked for", taken, size));
      }
      std::fill(is_here_.begin() + static_cast<std::ptrdiff_t>(page),
                is_here_.begin() + static_cast<std::ptrdiff_t>(stop), true);
      page = stop;
    }
    return {};
  }

  Result<bool> Send(std::uint64_t offset, std::uint64_t end) {
    std::array<std::byte, 65'536> buffer;
    while (offset < end) {
      const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - offset);
      const ssize_t got = ::pread(kept_.get(), buffer.data(), wanted, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return FailErrno("cannot read fetched bytes from the spool");
      if (!SendAll(socket_.get(), std::span(buffer).first(static_cast<std::size_t>(got)))) {
        return false;
      }
      offset += static_cast<std::uint64_t>(got);
    }
    return true;
  }

  std::mutex end_mutex_;  // over the closing of socket_, which only the thread does
  UniqueFd socket_;
  UniqueFd kept_;  // as long as the object, with holes where nothing was fetched
  const std::uint64_t size_;
  const Fetch fetch_;
  const std::shared_ptr<store::LateFailure> failure_;
  // The thread's alone:
  std::vector<bool> is_here_;  // of each page
  std::uint64_t next_ = 0;     // where the last read ended
  std::uint64_t ahead_ = 0;    // bytes to fetch beyond a read

  std::atomic<bool> has_ended_ = false;
  std::jthread thread_;  // last: it uses the others
};

RangeServer::RangeServer(std::string spool_directory)
    : spool_directory_(std::move(spool_directory)) {}

RangeServer::~RangeServer() = default;

Result<UniqueFd> RangeServer::Serve(std::uint64_t size, Fetch fetch,
                                    std::shared_ptr<store::LateFailure> failure) {
  UniqueFd kept(::open(spool_directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!kept.is_open() || ::ftruncate(kept.get(), static_cast<off_t>(size)) != 0) {
    return FailErrno("cannot make a file in the spool directory " + spool_directory_);
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return FailErrno("cannot make a socket for an input");
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const std::lock_guard lock(mutex_);
  std::erase_if(served_, [](const auto& served) { return served->has_ended(); });
  try {
    served_.push_back(std::make_unique<Served>(std::move(ours), std::move(kept), size,
                                               std::move(fetch), std::move(failure)));
  } catch (const std::system_error& error) {
    return FailErrno("cannot start a thread for an input", error.code().value());
  }
  return theirs;
}

}  // namespace zerocloud::upstream
