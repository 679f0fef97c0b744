// AwayGang: sessions that write to each other while they run, on nodes. All of them are placed and
// opened, and start when the last one is ready; if one cannot, none does, and they try again until
// there is a way, or no time. If a node fails while they run, all of them run again. Private to
// this folder.
//
// A thread leads the gang, and in each attempt every session has one. The engine owns the sessions;
// each keeps its gang.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/node/elsewhere.h"
#include "middleware/remote/away_session.h"
#include "middleware/remote/nodes.h"

namespace zerocloud::remote {

// What the sessions of one attempt share. Thread-safe.
class GangAttempt {
 public:
  // By session.
  explicit GangAttempt(std::vector<std::size_t> nodes) : nodes_(std::move(nodes)) {}
  Result<void> Open();

  [[nodiscard]] std::size_t NodeOf(std::size_t member) const { return nodes_[member]; }
  // The id of a stream of this attempt, by its number.
  std::string StreamId(std::size_t number);
  // Once for each.
  void Ready(std::size_t member);
  // All are ready.
  [[nodiscard]] bool goes() const { return ready_ == nodes_.size(); }
  [[nodiscard]] int go_fd() const { return go_.get(); }  // readable from then on

 private:
  const std::vector<std::size_t> nodes_;
  UniqueFd go_;
  std::atomic<std::size_t> ready_ = 0;
  std::mutex mutex_;
  std::map<std::size_t, std::string> ids_;  // guarded by mutex_
};

class AwayGang {
 public:
  static Result<std::vector<std::unique_ptr<node::RunningSession>>> Start(
      Nodes& nodes, std::vector<node::ElsewhereSession> sessions);
  explicit AwayGang(Nodes& nodes) : nodes_(nodes) {}
  AwayGang(const AwayGang&) = delete;
  AwayGang& operator=(const AwayGang&) = delete;
  ~AwayGang();

  // For its sessions: ends all of them.
  void Stop() { stop_.request_stop(); }
  // Until it does not touch them any more.
  void WaitUntilOver();

 private:
  // How one attempt ended.
  struct End {
    std::vector<AwaySession::Attempt> attempts;  // of each
    std::optional<std::size_t> first;            // that did not end well
  };
  void Run();
  void Lead();
  End TryOnce(const std::vector<std::size_t>& nodes);
  // What is to be done about it; true: it is over.
  bool Judge(const std::vector<std::size_t>& nodes, End& end);
  void EndAll(const Error& error);
  void EndKilled();
  // False: there is no time left.
  bool Pause(const std::string& why);

  Nodes& nodes_;
  std::vector<AwaySession*> members_;
  std::stop_source stop_;
  std::vector<std::string> failed_;   // "node: why"
  std::vector<std::size_t> avoided_;  // nodes where one of the gang has failed
  std::size_t failures_ = 0;
  std::size_t losses_ = 0;
  std::chrono::milliseconds pause_{10};
  std::chrono::steady_clock::time_point until_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool is_over_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace zerocloud::remote
