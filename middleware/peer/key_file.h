// The keys of a cluster: who has one may talk to the others, nobody else may. A text file, one key
// on a line, the same on every machine (docs/node-protocol.md):
//
//   # id  from (UTC)            until (UTC)           256 bits, hexadecimal
//   2026b 2026-11-01T00:00:00Z  2027-02-01T00:00:00Z  6f1c...
//
// "-" instead of a time is no bound. Several keys stand there while they are exchanged for new
// ones: what connects takes the one that is valid and began last, what accepts takes each that is
// valid.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::peer {

inline constexpr std::size_t kMaxKeyFileBytes = 64 << 10;
inline constexpr std::size_t kMaxKeys = 64;
inline constexpr std::size_t kMaxKeyIdBytes = 64;
inline constexpr std::size_t kKeyBytes = 32;

using Seconds = std::int64_t;  // since 1970, UTC
using SecondsClock = std::function<Seconds()>;
SecondsClock SystemSeconds();

struct Key {
  std::string id;
  std::array<unsigned char, kKeyBytes> secret{};
  Seconds from = std::numeric_limits<Seconds>::min();
  Seconds until = std::numeric_limits<Seconds>::max();  // from then on it is not valid

  // Why it is not valid at that time, as a sentence's end; empty: it is.
  [[nodiscard]] std::string WhyNot(Seconds now) const;
};

// kInvalid: "line N: sentence"; kLimitExceeded. Pure. No message shows a key.
Result<std::vector<Key>> ParseKeys(std::string_view text);

// The valid key that began last (the later line of equals), or null.
const Key* ChooseKey(const std::vector<Key>& keys, Seconds now);
const Key* FindKey(const std::vector<Key>& keys, std::string_view id);

// The file, read again when it changes. Thread-safe.
class KeyFile {
 public:
  // Errors name the file. kForbidden: everybody on the machine may read it.
  static Result<std::unique_ptr<KeyFile>> Open(
      std::string path, SecondsClock clock = SystemSeconds(),
      std::function<void(const std::string&)> complain = [](const std::string&) {});

  // As the file is now. One that is broken is complained of once, and the last good keys stay.
  std::shared_ptr<const std::vector<Key>> Current();
  [[nodiscard]] Seconds now() const { return clock_(); }

 private:
  struct Version {
    ino_t inode = 0;
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  using Keys = std::shared_ptr<const std::vector<Key>>;
  KeyFile(std::string path, SecondsClock clock, std::function<void(const std::string&)> complain)
      : path_(std::move(path)), clock_(std::move(clock)), complain_(std::move(complain)) {}
  // Reads the file that is there now, and tells which it was.
  [[nodiscard]] Result<Keys> Read(Version& version) const;
  [[nodiscard]] Version Look() const;

  const std::string path_;
  const SecondsClock clock_;
  const std::function<void(const std::string&)> complain_;
  std::mutex mutex_;
  Version version_;  // guarded by mutex_
  Keys keys_;        // guarded by mutex_
};

}  // namespace zerocloud::peer
