// The streams of one session of a gang, on its node. Used by that session's thread, but for what
// comes and goes meanwhile (streams.h). Private to this folder.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/streams.h"
#include "middleware/remote/wire.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::remote {

class SessionStreams {
 public:
  // All references outlive it.
  SessionStreams(Streams& streams, peer::KeyFile& keys, const peer::ConnectionLimits& patience,
                 const std::string& proxy)
      : streams_(streams), keys_(keys), patience_(patience), proxy_(proxy) {}
  SessionStreams(const SessionStreams&) = delete;
  SessionStreams& operator=(const SessionStreams&) = delete;
  // Ends what is under way; what others on this node still write to the session is forgotten.
  ~SessionStreams();

  // The session's end of a stream that it reads. From now on writers may come.
  Result<UniqueFd> OpenReader(const OfferedChannel& channel);
  // Opens those that it writes, as all readers are there, and puts the ends into `request`, whose
  // channels are those of the offer. Blocks while it connects.
  Result<void> ConnectWriters(const Offer& offer, runtime::SessionRequest& request);
  // Has ConnectWriters() fail before its next connection, from any thread.
  void Abort() { is_aborted_ = true; }

  // The session reads no more.
  void ForgetReaders() { streams_.Drain(std::move(drains_)); }
  // It has ended well: so do the streams that it wrote. Otherwise they end when this does, for
  // whoever reads them must not take what was written for all there is.
  void EndWriters() { writers_.clear(); }

  // Readable when something has happened to one; -1: there are none.
  [[nodiscard]] int fd() const { return news_ == nullptr ? -1 : news_->fd(); }
  void Clear() {
    if (news_ != nullptr) news_->Clear();
  }
  // A sentence that names the stream and the node at its other end.
  [[nodiscard]] std::optional<Error> error() const {
    return news_ == nullptr ? std::nullopt : news_->error();
  }
  // All that the session has written has arrived where it should, and whoever writes to it has come
  // (and would not find the stream when this is gone).
  [[nodiscard]] bool is_done() const;

 private:
  Result<void> NeedNews();
  Result<void> KeepCopy(const UniqueFd& end);

  Streams& streams_;
  peer::KeyFile& keys_;
  const peer::ConnectionLimits& patience_;
  const std::string& proxy_;
  std::shared_ptr<StreamNews> news_;
  std::vector<Streams::Key> readers_;
  std::vector<UniqueFd> drains_;   // of streams that sessions of this node write
  std::vector<UniqueFd> writers_;  // copies of the session's ends
  std::vector<std::unique_ptr<Outlet>> outlets_;
  std::atomic<bool> is_aborted_ = false;
};

}  // namespace zerocloud::remote
