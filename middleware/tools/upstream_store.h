// The objects of the configured upstream as jobs see them: by HTTP, and in place where they lie on
// this host. Shared by `zerocloud serve` and `zerocloud node`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "middleware/config/config.h"
#include "middleware/store/object_store.h"
#include "middleware/swift/local_object_store.h"
#include "middleware/upstream/container_policies.h"
#include "middleware/upstream/http_client.h"

namespace zerocloud::tools {

// What [proxy] says of the jobs' own requests, with the origins of zerocloud.upstream in its order;
// what is no option stays as ClientOptions has it. kInvalid: one of those URLs is none, or there is
// no URL; the sentence names the option.
Result<upstream::ClientOptions> ClientOptionsOf(const config::Config& config);

// A client with those options, which is the caller's. Errors as above, and kInternal or
// kUnavailable where the system gives no descriptors for it.
Result<std::unique_ptr<upstream::HttpClient>> StartClient(const config::Config& config);

// Members are destroyed from the end.
struct UpstreamStore {
  std::unique_ptr<store::ObjectStore> remote;    // by HTTP
  std::unique_ptr<swift::LocalObjects> devices;  // null: none here
  std::unique_ptr<store::ObjectStore> local;     // in front of remote, with devices

  [[nodiscard]] store::ObjectStore& objects() const { return local != nullptr ? *local : *remote; }
};

// `client` outlives it, and so does `policies` (or null), which is told of containers.
Result<UpstreamStore> OpenUpstream(const config::Config& config, upstream::HttpClient& client,
                                   upstream::ContainerPolicies* policies = nullptr);

// A line on standard error.
void Complain(const std::string& sentence);

}  // namespace zerocloud::tools
