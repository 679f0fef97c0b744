// Held bytes on their way from the node that has them to the node, or the proxy, that needs them.
// Private to this folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "middleware/peer/secure_connection.h"
#include "middleware/remote/holds.h"

namespace zerocloud::remote {

// What is to be fetched: what the report of the session that wrote it said.
struct HeldFacts {
  std::string id;
  std::uint64_t size = 0;
  std::string sha256;
};

struct FetchEnd {
  enum class Kind : std::uint8_t {
    kWhole,
    kLost,    // the holder says that it does not have it; the connection stays usable
    kBroken,  // no answer, or not those bytes; the connection is to be closed
    kDisk,    // it cannot be kept here; the connection is to be closed
  };
  Kind kind = Kind::kWhole;
  Error error;  // if it is not whole
};

// Asks for it on a connection that carries nothing else and was greeted, and writes it to `file`
// from offset 0. The holder may be silent for so long, and take as long as its bytes may
// (LongestWay()).
FetchEnd FetchHold(peer::SecureConnection& connection, const HeldFacts& held, int file,
                   std::chrono::milliseconds silence);

// SHA-256 of bytes [0, size) of a file. `between` is called again and again meanwhile, and ends it
// with its error.
Result<std::string> DigestOf(int file, std::uint64_t size,
                             const std::function<Result<void>()>& between);

// The other side. An error is the connection's.
Result<void> SendHold(peer::SecureConnection& connection, const Hold& hold);

// For a node that fetches what its session reads: one connection to each holder, kept until it is
// destroyed. Used by one thread, but for Abort().
class HoldFetcher {
 public:
  // `keys` outlives it. It asks in the name of that proxy.
  HoldFetcher(peer::KeyFile& keys, peer::ConnectionLimits patience, std::string proxy)
      : keys_(keys), patience_(patience), proxy_(std::move(proxy)) {}

  // `holder` is "host:port". kBroken also if it cannot be reached, or could not before.
  FetchEnd Fetch(const std::string& holder, const HeldFacts& held, int file);
  // Has Fetch() fail, from any thread, now and later.
  void Abort();

 private:
  struct Holder {
    std::unique_ptr<peer::SecureConnection> connection;
    Error error;  // if there is none
  };

  peer::KeyFile& keys_;
  const peer::ConnectionLimits patience_;
  const std::string proxy_;
  std::map<std::string, Holder> holders_;
  std::mutex mutex_;
  bool is_aborted_ = false;                    // guarded by mutex_
  peer::SecureConnection* current_ = nullptr;  // guarded by mutex_
};

}  // namespace zerocloud::remote
