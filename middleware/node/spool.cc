#include "middleware/node/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace zerocloud::node {
namespace {

// Copies [from, from + size) of one file to [to, to + size) of another.
Result<void> Copy(int source, std::uint64_t from, int target, std::uint64_t to,
                  std::uint64_t size) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 256ULL * 1024));
  while (size > 0) {
    const std::size_t want = std::min<std::uint64_t>(size, buffer.size());
    const ssize_t got = ::pread(source, buffer.data(), want, static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the spool");
    if (got == 0) return Fail(ErrorCode::kInternal, "a file of the spool is shorter than it was");
    for (ssize_t done = 0; done < got;) {
      const ssize_t put =
          ::pwrite(target, buffer.data() + done, static_cast<std::size_t>(got - done),
                   static_cast<off_t>(to) + done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return FailErrno("cannot write the spool");
      done += put;
    }
    from += static_cast<std::uint64_t>(got);
    to += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<Spool>> Spool::Open(std::string directory, std::uint64_t limit) {
  std::shared_ptr<Spool> spool(new Spool(std::move(directory), limit));
  if (Result<UniqueFd> file = spool->NewFile(); !file) return Fail(file);
  return spool;
}

Result<UniqueFd> Spool::NewFile() const {
  UniqueFd file(::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.is_open()) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR) {
    return FailErrno(fmt::format("cannot make a file in the spool directory {}", directory_));
  }
  // A file system without unnamed files.
  std::string name = directory_ + "/spool-XXXXXX";
  file.Reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!file.is_open()) {
    return FailErrno(fmt::format("cannot make a file in the spool directory {}", directory_));
  }
  ::unlink(name.c_str());
  return file;
}

Error Spool::Full() const {
  return {ErrorCode::kUnavailable,
          fmt::format("the machine's spool is full: its limit spool_bytes is {}; try again when "
                      "other jobs have ended",
                      limit_)};
}

JobSpool::~JobSpool() { spool_->used_ -= used_ - held_; }

std::uint64_t JobSpool::left() const {
  const std::uint64_t used = used_;
  const std::uint64_t all = spool_->used_;
  return std::min(limit_ - std::min(limit_, used), spool_->limit_ - std::min(spool_->limit_, all));
}

Error JobSpool::OverLimit(std::uint64_t wanted) const {
  return {ErrorCode::kLimitExceeded,
          fmt::format("outputs, connections and fetched inputs of the job take bytes of spool: {}; "
                      "the limit job_spool_bytes is {}",
                      wanted, limit_)};
}

Result<void> JobSpool::ChargeJob(std::uint64_t size) {
  const std::uint64_t wanted = used_ += size;
  if (wanted <= limit_) return {};
  used_ -= size;
  return std::unexpected(OverLimit(wanted));
}

Result<void> JobSpool::Charge(std::uint64_t size) {
  if (Result<void> charged = ChargeJob(size); !charged) return charged;
  const std::uint64_t all = spool_->used_ += size;
  if (all > spool_->limit_) {
    spool_->used_ -= size;
    used_ -= size;
    return std::unexpected(spool_->Full());
  }
  return {};
}

void JobSpool::GiveBack(std::uint64_t size) {
  used_ -= size;
  spool_->used_ -= size;
}

Result<Piece> JobSpool::Keep(UniqueFd file, std::uint64_t size) {
  if (Result<void> charged = Charge(size); !charged) return Fail(charged);
  Piece piece;
  piece.size = size;
  Result<void> kept;
  if (size >= kPackedSize) {
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
      kept = FailErrno("cannot cut a file of the spool");
    }
    piece.file = std::move(file);
  } else if (size > 0) {
    {
      const std::lock_guard lock(mutex_);
      if (!pack_.is_open()) {
        Result<UniqueFd> made = NewFile();
        if (made) {
          pack_ = std::move(*made);
        } else {
          kept = Fail(made);
        }
      }
      piece.offset = pack_size_;
      pack_size_ += size;
    }
    if (kept) kept = Copy(file.get(), 0, pack_.get(), piece.offset, size);
  }
  if (!kept) {
    GiveBack(size);
    return Fail(kept);
  }
  return piece;
}

Result<Piece> JobSpool::KeepHeld(std::shared_ptr<HeldBytes> held, std::uint64_t size) {
  if (Result<void> charged = ChargeJob(size); !charged) return Fail(charged);
  held_ += size;
  Piece piece;
  piece.size = size;
  piece.held = std::move(held);
  return piece;
}

Result<UniqueFd> JobSpool::AsFile(const Piece& piece, const std::stop_token& stop) {
  if (piece.file.is_open()) {
    UniqueFd copy(::fcntl(piece.file.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) return FailErrno("cannot open a piece of the spool");
    return copy;
  }
  if (piece.held != nullptr &&
      piece.size > spool_->limit_ - std::min(spool_->limit_, spool_->used_.load())) {
    return std::unexpected(spool_->Full());
  }
  Result<UniqueFd> file = NewFile();
  if (!file || piece.size == 0) return file;
  Result<void> copied = piece.held != nullptr
                            ? piece.held->Fetch(file->get(), stop)
                            : Copy(pack_.get(), piece.offset, file->get(), 0, piece.size);
  if (!copied) return Fail(copied);
  return file;
}

Result<std::size_t> JobSpool::Read(const Piece& piece, std::uint64_t offset,
                                   std::span<std::byte> buffer) {
  const std::size_t want =
      std::min<std::uint64_t>(buffer.size(), piece.size - std::min(piece.size, offset));
  if (want == 0) return std::size_t{0};
  const int fd = piece.file.is_open() ? piece.file.get() : pack_.get();
  const std::uint64_t from = piece.file.is_open() ? offset : piece.offset + offset;
  for (;;) {
    const ssize_t got = ::pread(fd, buffer.data(), want, static_cast<off_t>(from));
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) return Fail(ErrorCode::kInternal, "a piece of the spool is shorter than it was");
    if (errno != EINTR) return FailErrno("cannot read the spool");
  }
}

void JobSpool::Drop(Piece& piece) {
  if (piece.held != nullptr) {
    used_ -= piece.size;
    held_ -= piece.size;
    piece.held->Spare();
    piece = {};
    return;
  }
  if (piece.size == 0) return;
  if (!piece.file.is_open()) {
    ::fallocate(pack_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(piece.offset), static_cast<off_t>(piece.size));
  }
  GiveBack(piece.size);
  piece = {};
}

Result<void> FetchedBytes::CountTo(std::uint64_t bytes) {
  if (bytes <= counted_) return {};
  Result<void> charged = spool_->Charge(bytes - counted_);
  if (charged) counted_ = bytes;
  return charged;
}

}  // namespace zerocloud::node
