// RingFile: a ring on disk, read again when the file changes. Swift's tools replace it by a rename,
// so what is read is always a whole one. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "middleware/swift/ring.h"

namespace zerocloud::swift {

// Told about what an operator should know: one sentence.
using Complaint = std::function<void(const std::string&)>;

class RingFile {
 public:
  // Reads it for the first time. Errors name the file.
  static Result<std::unique_ptr<RingFile>> Open(std::string path, Complaint complain);

  // As the file is now. One that cannot be read or is no ring is complained of once, and the last
  // good one stays: what is found by it is checked anyway.
  std::shared_ptr<const Ring> Current();

 private:
  // What tells one version of the file from another.
  struct Version {
    ino_t inode = 0;
    std::int64_t size = 0;
    std::int64_t seconds = 0, nanoseconds = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  RingFile(std::string path, Complaint complain)
      : path_(std::move(path)), complain_(std::move(complain)) {}
  [[nodiscard]] Result<Version> Look() const;
  [[nodiscard]] Result<std::shared_ptr<const Ring>> Read() const;

  const std::string path_;
  const Complaint complain_;
  std::mutex mutex_;
  Version version_;                   // guarded by mutex_
  std::shared_ptr<const Ring> ring_;  // guarded by mutex_
};

// A small file whole. kLimitExceeded: longer than `limit`.
Result<std::string> ReadWholeFile(const std::string& path, std::size_t limit);

}  // namespace zerocloud::swift
