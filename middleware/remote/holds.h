// Holds: what sessions of a node have written and the node keeps, for as long as the proxies that
// asked for it need it. Private to this folder.
//
// A hold is known by the id of its proxy and its own. Whoever does not know both cannot read it,
// and whoever speaks for one proxy cannot touch what belongs to another. Small ones share a file
// for each proxy (node::JobSpool), so that descriptors do not grow with the sessions that have run.
//
// A proxy that has not been heard of for some time is gone, and its holds are forgotten.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "channels/base/unique_fd.h"
#include "middleware/node/spool.h"

namespace zerocloud::remote {

// Gives its bytes back when nobody has it any more; so it can be read while it is forgotten.
class Hold {
 public:
  Hold(std::shared_ptr<node::JobSpool> spool, node::Piece piece)
      : spool_(std::move(spool)), piece_(std::move(piece)), size_(piece_.size) {}
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() { spool_->Drop(piece_); }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] Result<std::size_t> Read(std::uint64_t offset, std::span<std::byte> buffer) const {
    return spool_->Read(piece_, offset, buffer);
  }
  // From offset 0; not to be written to.
  [[nodiscard]] Result<UniqueFd> AsFile() const { return spool_->AsFile(piece_); }

 private:
  const std::shared_ptr<node::JobSpool> spool_;
  node::Piece piece_;
  const std::uint64_t size_;
};

// Thread-safe.
class Holds {
 public:
  using Clock = std::chrono::steady_clock;

  Holds(std::shared_ptr<node::Spool> spool, std::chrono::milliseconds silence)
      : spool_(std::move(spool)), silence_(silence) {}

  // That proxy is there.
  void Heard(const std::string& proxy, Clock::time_point now = Clock::now());
  // Takes bytes [0, size) of `file`. kInvalid: there is such a hold already; kUnavailable: no room.
  Result<void> Add(const std::string& proxy, const std::string& id, UniqueFd file,
                   std::uint64_t size);
  // Or null.
  [[nodiscard]] std::shared_ptr<const Hold> Find(const std::string& proxy,
                                                 const std::string& id) const;
  // Ids that are not known are passed over: what they stood for may be forgotten already.
  void Drop(const std::string& proxy, std::span<const std::string> ids);
  // Kept only as long as there is room.
  void Spare(const std::string& proxy, std::span<const std::string> ids);
  // Forgets all that may be; false: there was nothing.
  bool MakeRoom();
  // Forgets what belongs to proxies that were not heard of for too long.
  void ForgetSilent(Clock::time_point now = Clock::now());
  [[nodiscard]] std::size_t count() const;

 private:
  struct Entry {
    std::shared_ptr<const Hold> hold;
    bool is_spare = false;
  };
  struct Proxy {
    Clock::time_point heard;
    std::shared_ptr<node::JobSpool> spool;
    std::map<std::string, Entry> holds;
  };

  const std::shared_ptr<node::Spool> spool_;
  const std::chrono::milliseconds silence_;
  mutable std::mutex mutex_;
  std::map<std::string, Proxy> proxies_;  // guarded by mutex_
};

}  // namespace zerocloud::remote
