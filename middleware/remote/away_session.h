// AwaySession: one session that runs on other nodes, as the engine sees it. A thread tries it on
// one node after the other until one brings it to an end. Private to this folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "middleware/node/elsewhere.h"
#include "middleware/remote/nodes.h"
#include "middleware/remote/sha256.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

class AwaySession : public node::RunningSession {
 public:
  // `nodes` outlives it.
  static Result<std::unique_ptr<node::RunningSession>> Start(Nodes& nodes,
                                                             node::ElsewhereSession session);
  AwaySession(const AwaySession&) = delete;
  AwaySession& operator=(const AwaySession&) = delete;
  ~AwaySession() override;

  [[nodiscard]] int pidfd() const override { return ended_.get(); }
  // The node keeps its deadline, and the thread the node's.
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const override {
    return std::chrono::steady_clock::time_point::max();
  }
  void Kill(runtime::Cause cause) override;
  runtime::SessionReport Collect() override;
  std::unique_ptr<node::ElsewhereEnd> TakeElsewhere() override;

 private:
  // How one attempt ended.
  struct Attempt {
    std::optional<Error> error;  // none: the end is here
    std::string alias;           // of the input that is to blame
    bool is_final = false;       // no other node would do better
    bool is_connection = false;  // the node is to be left alone for a while
    bool was_used = false;       // it had answered the offer
  };
  // Of a channel whose bytes come back.
  struct Incoming {
    std::uint64_t size = 0;
    Sha256 sha256;
    bool is_whole = false;
  };

  AwaySession(Nodes& nodes, node::ElsewhereSession session);
  void Run();
  [[nodiscard]] Offer MakeOffer() const;
  Attempt TryOn(std::size_t node);
  Attempt Converse(peer::SecureConnection& connection);
  Result<void> SendBytes(peer::SecureConnection& connection, const Offer& offer,
                         bool needs_program);
  Result<void> SendStream(peer::SecureConnection& connection, std::uint32_t channel, int file,
                          std::uint64_t size);
  Result<void> TakeData(const Offer& offer, std::string_view payload);
  Result<void> TakeDigest(std::string_view payload);
  Result<void> TakeReport(const Offer& offer, std::string_view payload);

  Nodes& nodes_;
  const node::ElsewhereSession session_;
  UniqueFd ended_;
  std::atomic<bool> is_killed_ = false;
  std::mutex mutex_;
  peer::SecureConnection* connection_ = nullptr;  // guarded by mutex_: to be aborted
  // The thread's until it has ended.
  runtime::SessionReport report_;
  std::unique_ptr<node::ElsewhereEnd> end_;
  std::vector<Incoming> incoming_;  // of each channel
  std::thread thread_;
};

}  // namespace zerocloud::remote
