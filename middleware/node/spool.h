// Spool: bounded disk for what jobs have written and nobody has taken yet: connections between
// sessions, outputs, response bodies. All files are unnamed, so nothing is left behind however the
// program ends.
//
// Thousands of sessions leave thousands of small pieces. A piece below kPackedSize is copied into
// one file per job, so that descriptors are bounded by what runs, not by what has run.
//
// Only what was kept is charged, and what a store has copied here for sessions to read. What
// sessions are still writing is counted by the engine, which looks at their files again and again
// while they run.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/node/held_bytes.h"

namespace zerocloud::node {

// The machine's spool directory and how much of it is used. Thread-safe.
class Spool {
 public:
  // kNotFound or kForbidden if no file can be made in `directory`.
  static Result<std::shared_ptr<Spool>> Open(std::string directory, std::uint64_t limit);

  // An unnamed empty file, open for reading and writing.
  [[nodiscard]] Result<UniqueFd> NewFile() const;

  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  // kUnavailable: it is full.
  [[nodiscard]] Error Full() const;

 private:
  friend class JobSpool;
  Spool(std::string directory, std::uint64_t limit)
      : directory_(std::move(directory)), limit_(limit) {}

  std::string directory_;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_ = 0;
};

// Bytes that were kept: a file of their own, or a range of the job's pack, or on another machine.
struct Piece {
  UniqueFd file;
  std::uint64_t offset = 0;  // in the pack, if there is no file
  std::uint64_t size = 0;
  std::shared_ptr<HeldBytes> held = {};
};

// One job's part of the spool. Thread-safe; gives everything back when destroyed.
class JobSpool {
 public:
  static constexpr std::uint64_t kPackedSize = 256ULL * 1024;

  // `limit` is the job limit job_spool_bytes.
  JobSpool(std::shared_ptr<Spool> spool, std::uint64_t limit)
      : spool_(std::move(spool)), limit_(limit) {}
  JobSpool(const JobSpool&) = delete;
  JobSpool& operator=(const JobSpool&) = delete;
  ~JobSpool();

  [[nodiscard]] Result<UniqueFd> NewFile() const { return spool_->NewFile(); }
  // What may still be kept before a limit is hit.
  [[nodiscard]] std::uint64_t left() const;
  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  // kLimitExceeded: `wanted` bytes are more than the limit.
  [[nodiscard]] Error OverLimit(std::uint64_t wanted) const;

  // Keeps bytes [0, size) of `file`, cutting off the rest. kLimitExceeded naming job_spool_bytes;
  // kUnavailable if the machine's spool is full.
  Result<Piece> Keep(UniqueFd file, std::uint64_t size);
  // The same for what lies on another machine: it takes nothing of this one's spool, but counts
  // with the job.
  Result<Piece> KeepHeld(std::shared_ptr<HeldBytes> held, std::uint64_t size);
  // The piece as a file of its own, from offset 0. The piece stays kept. What another machine holds
  // is fetched, and what has to run again for that is given up when `stop` says so.
  Result<UniqueFd> AsFile(const Piece& piece, const std::stop_token& stop = {});
  // At most buffer.size() bytes at `offset`; a piece shorter than it says is kInternal. Not of
  // what another machine holds.
  Result<std::size_t> Read(const Piece& piece, std::uint64_t offset, std::span<std::byte> buffer);
  // Gives its bytes back.
  void Drop(Piece& piece);

 private:
  friend class FetchedBytes;
  Result<void> Charge(std::uint64_t size);
  Result<void> ChargeJob(std::uint64_t size);
  void GiveBack(std::uint64_t size);  // what Charge() took

  std::shared_ptr<Spool> spool_;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_ = 0;  // of the job's limit
  std::atomic<std::uint64_t> held_ = 0;  // of them on other machines
  std::mutex mutex_;
  UniqueFd pack_;                // guarded by mutex_ until open; then never replaced
  std::uint64_t pack_size_ = 0;  // guarded by mutex_
};

// Bytes of an input that the store copied to this machine: counted like what was kept, until
// destroyed, which is when its session has ended. One thread at a time.
class FetchedBytes {
 public:
  explicit FetchedBytes(std::shared_ptr<JobSpool> spool) : spool_(std::move(spool)) {}
  FetchedBytes(const FetchedBytes&) = delete;
  FetchedBytes& operator=(const FetchedBytes&) = delete;
  ~FetchedBytes() { spool_->GiveBack(counted_); }

  // Counts so many, unless it counts more already. Errors as of Keep(); then it counts as before.
  Result<void> CountTo(std::uint64_t bytes);

 private:
  std::shared_ptr<JobSpool> spool_;
  std::uint64_t counted_ = 0;
};

}  // namespace zerocloud::node
