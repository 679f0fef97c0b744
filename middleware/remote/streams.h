// Streams: what sessions of a gang write to each other while they run, as a node sees it. Each
// reader has a pipe here; what comes into it is written by a session of this node itself, or comes
// over a connection of its own from the node where the writer is (docs/node-protocol.md).
//
// Back-pressure is by credit: a writer's node sends only as many bytes as the reader's node has
// granted, and that grants what its pipe has taken. So a reader that takes its time costs a bounded
// amount of memory, and both sides still hear of each other.
//
// Thread-safe. Private to this folder.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/peer/secure_connection.h"

namespace zerocloud::remote {

// What has befallen the streams of one session, which waits for it to show.
class StreamNews {
 public:
  static Result<std::shared_ptr<StreamNews>> Make();
  // The first counts; the stream `name` is put before what it says. `pipe` stays open as long as
  // this lives: whoever reads from it must not take what has come for all there is.
  void SetError(const std::string& name, Error why, UniqueFd pipe = UniqueFd());
  void Signal();  // one has ended well
  [[nodiscard]] std::optional<Error> error() const;
  [[nodiscard]] int fd() const { return event_.get(); }  // readable: there is news
  void Clear();                                          // until there is more

 private:
  mutable std::mutex mutex_;
  std::optional<Error> error_;   // guarded by mutex_
  std::vector<UniqueFd> pipes_;  // the same
  UniqueFd event_;
};

class Streams {
 public:
  // The proxy's id and the stream's.
  using Key = std::pair<std::string, std::string>;

  explicit Streams(peer::ConnectionLimits patience) : patience_(patience) {}
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams();  // REQUIRES: no session and no connection is left

  // The end into which a reader's pipe is fed. Trouble goes to that reader, who knows it by `name`.
  // kInvalid: there is one of that key.
  Result<void> Add(const Key& key, std::string name, UniqueFd into,
                   std::shared_ptr<StreamNews> news);
  // For a writer on this node. Once; kInvalid: there is none, or it is taken.
  Result<UniqueFd> Take(const Key& key);
  // Its writer has come. The reader learns that there is news.
  [[nodiscard]] bool IsTaken(const Key& key) const;
  // The reader is gone: nobody can ask for it any more. What is under way is read and forgotten.
  void Remove(const Key& key);
  // Feeds the pipe from a connection whose other side has asked for it, until the digest. Once.
  // Whatever goes wrong is also the reader's trouble.
  Result<void> Serve(peer::SecureConnection& connection, const Key& key);
  // Reads and forgets what comes out of these pipes, until their writers have ended.
  void Drain(std::vector<UniqueFd> pipes);

 private:
  struct Inlet {
    std::string name;
    UniqueFd into;
    std::shared_ptr<StreamNews> news;
  };
  std::shared_ptr<Inlet> Claim(const Key& key);

  const peer::ConnectionLimits patience_;
  mutable std::mutex mutex_;
  std::map<Key, std::shared_ptr<Inlet>> inlets_;  // guarded by mutex_; null: taken
  std::mutex drains_mutex_;
  std::vector<std::pair<std::thread, std::shared_ptr<std::atomic<bool>>>> drains_;
};

// The other side: sends what a session writes into a pipe. A thread of its own.
class Outlet {
 public:
  // `connection` has been greeted. Waits until the other side has the stream, which the writer
  // knows by `name`.
  static Result<std::unique_ptr<Outlet>> Start(std::unique_ptr<peer::SecureConnection> connection,
                                               const std::string& stream, std::string name,
                                               UniqueFd from,
                                               const peer::ConnectionLimits& patience,
                                               std::shared_ptr<StreamNews> news);
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;
  ~Outlet();  // ends what is under way

  // All has been sent and taken.
  [[nodiscard]] bool is_done() const { return is_done_; }

 private:
  Outlet(std::unique_ptr<peer::SecureConnection> connection, std::string name, UniqueFd from,
         const peer::ConnectionLimits& patience, std::shared_ptr<StreamNews> news)
      : connection_(std::move(connection)),
        name_(std::move(name)),
        from_(std::move(from)),
        patience_(patience),
        news_(std::move(news)) {}
  Result<void> Pump();
  // Takes the frames that are there; tells when the other side has confirmed the end.
  Result<bool> TakeFrames();

  const std::unique_ptr<peer::SecureConnection> connection_;
  const std::string name_;
  UniqueFd from_;
  const peer::ConnectionLimits patience_;
  const std::shared_ptr<StreamNews> news_;
  std::uint64_t credit_ = 0;
  std::chrono::steady_clock::time_point last_heard_;
  std::atomic<bool> is_done_ = false;
  std::thread thread_;
};

}  // namespace zerocloud::remote
