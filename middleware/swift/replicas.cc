#include "middleware/swift/replicas.h"

#include <algorithm>
#include <utility>

#include "middleware/http/text.h"

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
    Policy& known = replicas->policies_.emplace_back(policy.names, nullptr);
    if (!policy.is_replicated) continue;
    std::string path = directory;
    path.append("/").append(policy.RingName());
    auto ring = RingFile::Open(std::move(path), complain);
    if (!ring) return Fail(ring);
    known.ring = std::move(*ring);
  }
  return replicas;
}

std::vector<std::string> Replicas::HostsOf(const store::ObjectPath& path,
                                           const std::optional<std::string>& policy) {
  std::vector<std::string> hosts;
  const Result<PathHash> hash = HashPath(affixes_, path);
  if (!hash) return hosts;
  const auto is_it = [name = http::ToLower(policy.value_or(""))](const Policy& each) {
    return std::ranges::find(each.names, name) != each.names.end();
  };
  const bool is_known = policy && std::ranges::any_of(policies_, is_it);
  for (const Policy& each : policies_) {
    if (each.ring == nullptr || (is_known && !is_it(each))) continue;
    const std::shared_ptr<const Ring> ring = each.ring->Current();
    for (const RingDevice* device : ring->DevicesOf(PartitionOf(*hash, ring->part_shift()))) {
      const bool is_new = std::ranges::find(hosts, device->address) == hosts.end();
      if (is_new) hosts.push_back(device->address);
    }
  }
  return hosts;
}

}  // namespace zerocloud::swift
