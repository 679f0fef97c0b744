// HeldSession: a session that has ended well on a node which holds what it wrote, and how it came
// to be, so that it can run again on another node if that one is lost. It keeps those alive whose
// bytes it read, so that they can run again for it in turn. Private to this folder.
//
// Guests are deterministic: what a session writes follows from its program, arguments and inputs.
// So a second run must write what the first one wrote, byte for byte, or one of its objects was
// replaced meanwhile; others may have read the first version, so then the job fails instead of
// mixing the two. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "middleware/node/elsewhere.h"
#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/nodes.h"

namespace zerocloud::remote {

class HeldSession {
 public:
  // Where the bytes of a channel lie.
  struct Place {
    std::size_t node = 0;
    std::uint64_t run = 0;  // which run of the session wrote them there
    HeldFacts facts;
  };

  // `session` has no files any more; `nvram` is what stood in that one. `outputs` are by channel:
  // those without an id are not held but had that digest, those without a digest are none.
  HeldSession(Nodes& nodes, node::ElsewhereSession session, std::string nvram, std::size_t node,
              std::vector<HeldFacts> outputs, std::shared_ptr<node::LaterRuns> later);
  HeldSession(const HeldSession&) = delete;
  HeldSession& operator=(const HeldSession&) = delete;
  ~HeldSession();  // the node forgets what it holds

  [[nodiscard]] Nodes& nodes() const { return nodes_; }
  [[nodiscard]] Place Where(std::size_t channel) const;
  // What that run wrote is lost. Runs it again, unless somebody else has done so or is about to;
  // afterwards Where() tells another place. Blocks until then, or until it cannot be done.
  Result<void> RunAgain(std::uint64_t lost_run, const std::string& why,
                        const std::stop_token& stop);
  void Spare(std::size_t channel);

 private:
  [[nodiscard]] Result<node::ElsewhereSession> Describe() const;
  Result<void> RunOnAnother(const std::vector<std::size_t>& lost_on, const std::stop_token& stop);
  void DropHolds(std::size_t node, const std::vector<HeldFacts>& outputs);

  Nodes& nodes_;
  const node::ElsewhereSession session_;
  const std::string nvram_;
  const std::shared_ptr<node::LaterRuns> later_;
  mutable std::mutex mutex_;
  std::condition_variable_any has_run_;
  // Guarded by mutex_:
  std::size_t node_;
  std::vector<HeldFacts> outputs_;
  std::uint64_t run_ = 0;
  bool is_running_ = false;
  std::vector<std::size_t> lost_on_;  // nodes
  std::optional<Error> final_;        // it is of no use to run again
};

// What one channel of such a session got.
class HeldOutput : public node::HeldBytes {
 public:
  HeldOutput(std::shared_ptr<HeldSession> session, std::size_t channel)
      : session_(std::move(session)), channel_(channel) {}
  Result<store::ObjectInfo> Store(const store::Caller& caller, const store::NewObject& object,
                                  std::stop_token stop) override;
  Result<void> Fetch(int file, std::stop_token stop) override;
  void Spare() override { session_->Spare(channel_); }

  [[nodiscard]] HeldSession& session() const { return *session_; }
  [[nodiscard]] HeldSession::Place Where() const { return session_->Where(channel_); }

 private:
  const std::shared_ptr<HeldSession> session_;
  const std::size_t channel_;
};

// The nodes with the most of what the session reads of others, and those with at least half as
// much.
std::vector<std::size_t> NearHeldInputs(const node::ElsewhereSession& session);

}  // namespace zerocloud::remote
