// What a session on a node reads of what others wrote: from this node's holds, or fetched from
// those of another node. What is not to be had is noted, so that the proxy hears of all of it at
// once. Private to this folder.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/node_session.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// Used by one thread, but for Abort().
class HeldInputs {
 public:
  // For a session of that proxy. `parts` outlive it.
  HeldInputs(NodeParts& parts, const std::string& proxy)
      : holds_(parts.holds), fetcher_(parts.keys, parts.options.patience, proxy), proxy_(proxy) {}

  // The bytes of that channel, of source kHeld, in a file; one that is not open if they are lost.
  // `new_file` gives an empty one. Errors are this node's.
  Result<UniqueFd> Open(const OfferedChannel& offered,
                        const std::function<Result<UniqueFd>()>& new_file);
  // If anything is lost: which, and why.
  [[nodiscard]] std::optional<Failure> failure() const;
  // Has Open() find everything lost from now on, from any thread.
  void Abort() { fetcher_.Abort(); }

 private:
  void Lose(const std::string& hold, std::string why);

  const Holds& holds_;
  HoldFetcher fetcher_;
  const std::string proxy_;
  std::vector<std::string> lost_;  // ids
  std::vector<std::string> why_;   // "holder: why", the first few
};

}  // namespace zerocloud::remote
