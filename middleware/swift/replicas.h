// Replicas: on which hosts the rings place an object. Reads rings only; looks at no device, asks
// nobody, and knows nothing of rights. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/object_store.h"
#include "middleware/swift/cluster_conf.h"
#include "middleware/swift/ring_file.h"

namespace zerocloud::swift {

class Replicas {
 public:
  // `directory` has swift.conf and the object rings. Errors name the file.
  static Result<std::unique_ptr<Replicas>> Open(const std::string& directory,
                                                const Complaint& complain);

  // The addresses of the hosts, the first replica's first, of all replicated policies in their
  // order: which policy a container has is not asked.
  [[nodiscard]] std::vector<std::string> HostsOf(const store::ObjectPath& path);

 private:
  Replicas() = default;
  HashAffixes affixes_;
  std::vector<std::unique_ptr<RingFile>> rings_;
};

}  // namespace zerocloud::swift
