// RangeServer: objects of which only those bytes are fetched that a session asks for. Each has a
// socket whose other end is the session's channel (sandbox/runtime/calls_asked.h), a thread that
// answers on it, and a file without a name that keeps what was fetched: no byte is fetched twice.
//
// Pages of 4 KiB are fetched. Reads that follow each other are fetched ahead in growing pieces,
// reads here and there are not. Thread-safe. What comes from a session is a stranger's word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/store/object_store.h"

namespace zerocloud::upstream {

class RangeServer {
 public:
  // Brings bytes [offset, offset + size) of the object, handing them on in order. Blocks.
  using Take = std::function<Result<void>(std::span<const std::byte>)>;
  using Fetch =
      std::function<Result<void>(std::uint64_t offset, std::uint64_t size, const Take& take)>;

  explicit RangeServer(std::string spool_directory);
  RangeServer(const RangeServer&) = delete;
  RangeServer& operator=(const RangeServer&) = delete;
  ~RangeServer();  // ends all of them; a fetch under way is waited for

  // The session's end. The object is served until that is closed, or a fetch fails: then the reason
  // is in `failure`, and the session finds the channel closed.
  Result<UniqueFd> Serve(std::uint64_t size, Fetch fetch,
                         std::shared_ptr<store::LateFailure> failure);

 private:
  class Served;
  const std::string spool_directory_;
  std::mutex mutex_;
  std::list<std::unique_ptr<Served>> served_;  // guarded by mutex_
};

}  // namespace zerocloud::upstream
