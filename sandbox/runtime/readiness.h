// Readiness: answers a guest's question which of its channels can be read without waiting. There is
// no call for that: the guest writes the question to one more stream channel and reads the answer
// from it (zvm.h), and this is the other end, in the host. So neither the six calls nor the system
// calls of a session process know about it.
//
// One thread for each session that asks for it, which only polls; it ends when the session does.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {

class Readiness {
 public:
  // `channels` has a descriptor for each channel of the session, in handle order: copies are made.
  // -1 stands for one that never makes a reader wait: a file, or one that cannot be read.
  // `guest_end` becomes the session's end.
  static Result<std::unique_ptr<Readiness>> Start(const std::vector<int>& channels,
                                                  UniqueFd& guest_end);
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness();

 private:
  Readiness(UniqueFd host_end, std::vector<UniqueFd> channels);
  void Serve();
  // False: the session has ended, or what it asks makes no sense.
  bool ServeOne();

  UniqueFd host_end_;
  std::vector<UniqueFd> channels_;
  std::thread thread_;
};

}  // namespace zerocloud::runtime
