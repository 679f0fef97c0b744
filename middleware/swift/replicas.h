// Replicas: on which hosts the rings place an object. Reads rings only; looks at no device, asks
// nobody, and knows nothing of rights. Thread-safe.
#pragma once

#include <memory>
#include <optional>
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

  // The addresses of the hosts, the first replica's first, in the ring of the policy of that name.
  // None if it is erasure coded. Of all replicated policies, in their order, if it is not given or
  // swift.conf does not know it.
  [[nodiscard]] std::vector<std::string> HostsOf(const store::ObjectPath& path,
                                                 const std::optional<std::string>& policy);
  // Whether it is worth asking for a container's policy.
  [[nodiscard]] bool has_several_policies() const { return policies_.size() > 1; }

 private:
  Replicas() = default;
  HashAffixes affixes_;
  struct Policy {
    std::vector<std::string> names;
    std::unique_ptr<RingFile> ring;  // null: erasure coded
  };
  std::vector<Policy> policies_;
};

}  // namespace zerocloud::swift
