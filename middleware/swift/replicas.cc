#include "middleware/swift/replicas.h"

#include <algorithm>
#include <utility>

namespace zerocloud::swift {

Result<std::unique_ptr<Replicas>> Replicas::Open(const std::string& directory,
                                                 const Complaint& complain) {
  const std::string conf_path = directory + "/swift.conf";
  const Result<std::string> text = ReadWholeFile(conf_path, kMaxConfBytes);
  if (!text) return Fail(text);
  Result<ClusterConf> conf = ParseClusterConf(*text);
  if (!conf) return Fail(conf.error().code, conf_path + ": " + conf.error().message);
  std::unique_ptr<Replicas> replicas(new Replicas());
  replicas->affixes_ = std::move(conf->affixes);
  for (const StoragePolicy& policy : conf->policies) {
    if (!policy.is_replicated) continue;
    std::string path = directory;
    path.append("/").append(policy.RingName());
    auto ring = RingFile::Open(std::move(path), complain);
    if (!ring) return Fail(ring);
    replicas->rings_.push_back(std::move(*ring));
  }
  return replicas;
}

std::vector<std::string> Replicas::HostsOf(const store::ObjectPath& path) {
  std::vector<std::string> hosts;
  const Result<PathHash> hash = HashPath(affixes_, path);
  if (!hash) return hosts;
  for (const auto& file : rings_) {
    const std::shared_ptr<const Ring> ring = file->Current();
    for (const RingDevice* device : ring->DevicesOf(PartitionOf(*hash, ring->part_shift()))) {
      const bool is_new = std::ranges::find(hosts, device->address) == hosts.end();
      if (is_new) hosts.push_back(device->address);
    }
  }
  return hosts;
}

}  // namespace zerocloud::swift
