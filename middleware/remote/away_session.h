// AwaySession: one session that runs on other nodes, as the engine sees it. A thread tries it on
// one node after the other until one brings it to an end. If what other sessions wrote for it is
// lost meanwhile, these run again first (held_session.h). Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "middleware/digest/digest.h"
#include "middleware/node/elsewhere.h"
#include "middleware/remote/held_session.h"
#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/nodes.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// How one ended that was run by whoever waits for it.
struct AwayResult {
  std::unique_ptr<node::ElsewhereEnd> end;
  runtime::SessionReport report;
  bool has_succeeded = false;
  std::size_t node = 0;            // where
  std::vector<HeldFacts> outputs;  // by channel, as HeldSession has them
};

class AwayGang;
class GangAttempt;

class AwaySession : public node::RunningSession {
 public:
  // `nodes` outlives it.
  static Result<std::unique_ptr<node::RunningSession>> Start(Nodes& nodes,
                                                             node::ElsewhereSession session);
  // Runs it to its end, or until `stop` says so; those nodes are tried only if there is no other.
  static AwayResult RunHere(Nodes& nodes, node::ElsewhereSession session,
                            std::vector<std::size_t> avoided, const std::stop_token& stop);
  // One of a gang: it does nothing by itself.
  AwaySession(Nodes& nodes, node::ElsewhereSession session, std::shared_ptr<AwayGang> gang);
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

  // For its gang.

  // How one attempt ended.
  struct Attempt {
    std::optional<Error> error;  // none: the end is here
    std::string alias;           // of the input that is to blame
    bool is_final = false;       // no other node would do better
    // It is of no more use; nor is the node for a while, unless this is final.
    bool is_connection = false;
    bool was_used = false;               // it had answered the offer
    std::vector<std::size_t> lost = {};  // channels of which the bytes are not to be had any more
    bool is_busy = false;                // no slot is free for one of a gang
  };
  // Tries it on that node, as a part of `attempt`, until it says stop.
  Attempt TryInGang(GangAttempt& attempt, std::size_t member, std::size_t node,
                    const std::stop_token& stop);
  Result<void> RunLostAgain(const std::vector<std::size_t>& channels, const std::string& why,
                            const std::stop_token& stop);
  [[nodiscard]] const node::ElsewhereSession& session() const { return session_; }
  [[nodiscard]] bool has_succeeded() const {
    return report_.cause == runtime::Cause::kExited && report_.exit_code == 0;
  }
  // That was the end. With an error it ran nowhere, killed it was stopped; `failed` is told.
  void EndInGang(std::optional<Error> error, std::string alias, bool is_killed, std::string node,
                 std::vector<std::string> failed);

 private:
  // Of a channel whose bytes come back.
  struct Incoming {
    std::uint64_t size = 0;
    digest::Sha256 sha256;
    bool is_whole = false;
  };
  // Which run of another session a channel's bytes are of.
  struct HeldInput {
    HeldSession* session = nullptr;  // kept by session_
    HeldSession::Place place;
  };

  AwaySession(Nodes& nodes, node::ElsewhereSession session);
  void Run();
  // Until it has ended or nothing is left to try; the node where it ended well or not.
  std::optional<std::size_t> RunOnNodes();
  [[nodiscard]] std::optional<std::size_t> Choose(const std::vector<std::size_t>& tried);
  void HandOverHeld(std::size_t node);
  [[nodiscard]] Offer MakeOffer(std::size_t node);
  void OfferSource(std::size_t node, std::size_t channel, OfferedChannel& offered);
  Attempt TryOn(std::size_t node);
  Attempt Converse(std::size_t node, peer::SecureConnection& connection);
  [[nodiscard]] Attempt TakeFailure(const Offer& offer, std::string_view payload) const;
  Result<void> SendInputs(peer::SecureConnection& connection, const Offer& offer,
                          bool needs_program);
  Result<void> TakeData(const Offer& offer, std::string_view payload);
  Result<void> TakeDigest(std::string_view payload);
  Result<void> TakeReport(const Offer& offer, std::string_view payload);

  Nodes& nodes_;
  node::ElsewhereSession session_;
  std::string nvram_;  // for a further run, if anything is to be held
  UniqueFd ended_;
  std::stop_source killed_;
  std::stop_token stop_;  // of killed_, or of whoever waits
  // The thread's until it has ended.
  runtime::SessionReport report_;
  std::unique_ptr<node::ElsewhereEnd> end_;
  std::vector<Incoming> incoming_;        // of each channel
  std::vector<HeldInput> held_;           // the same, as was offered last
  std::vector<HeldFacts> outputs_;        // the same, of what is written
  bool is_own_fault_ = false;             // this machine's disk failed, so no node does better
  std::vector<std::size_t> avoided_;      // nodes to be tried only if there is no other
  const std::shared_ptr<AwayGang> gang_;  // null: it is of none
  GangAttempt* attempt_ = nullptr;        // while it is tried as a part of one
  std::size_t member_ = 0;                // of the gang
  std::thread thread_;
};

}  // namespace zerocloud::remote
