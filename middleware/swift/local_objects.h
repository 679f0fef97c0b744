// LocalObjects: the replicas of objects that lie on this host's own devices, found as Swift's
// object server finds them and opened read-only. Nobody's rights are checked here: whoever calls
// Find has asked Swift before, and hands over what Swift said about the object.
//
// What is opened is below the directory of devices whatever lies there (openat2, no symbolic
// links), and is taken only if its own metadata agree with what Swift said. Swift never writes a
// .data file that has its name, it replaces and removes it: an open one stays as it is.
//
// Thread-safe. Errors of Find are reasons to read the object by HTTP, as sentences about "it"; they
// name no path of this host.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/store/object_store.h"
#include "middleware/swift/cluster_conf.h"
#include "middleware/swift/object_metadata.h"
#include "middleware/swift/ring_file.h"

namespace zerocloud::swift {

struct LocalOptions {
  std::string devices_directory;  // `devices` of the object server: /srv/node
  std::string swift_directory;    // with swift.conf and the rings: /etc/swift
  // As which this host is in the rings. Empty: the addresses of its network interfaces.
  std::vector<std::string> addresses;
  // Asks the upstream, as the caller, where an object lies: the answer of list_endpoints. Set: no
  // ring is read.
  std::function<Result<std::string>(const store::Caller&, const store::ObjectPath&)> ask_endpoints;
  Complaint complain = [](const std::string&) {};
  store::WallClock clock = store::SystemWallClock();
};

// One device that a ring places on this host, for who sets it up.
struct DeviceState {
  unsigned policy = 0;
  std::string name;
  std::string why_not;  // it cannot be read; empty: it can
};

class LocalObjects {
 public:
  // Errors name the file, and what to do.
  static Result<std::unique_ptr<LocalObjects>> Open(LocalOptions options);

  LocalObjects(const LocalObjects&) = delete;
  LocalObjects& operator=(const LocalObjects&) = delete;
  ~LocalObjects() = default;

  // Every device here, of each replicated policy, and whether its objects can be looked at now. By
  // the rings: none without them.
  [[nodiscard]] std::vector<DeviceState> Devices();

  // Where replicas of an object would be on this host: directories below that of the devices.
  struct Places {
    std::vector<std::string> primary;
    std::vector<std::string> handoff;
  };
  // By the rings, or by asking the upstream as the caller. Looks at no device.
  Result<Places> Locate(const store::Caller& caller, const store::ObjectPath& path);

  // The object's file, if a replica here is exactly the version that Swift told of: `said` has its
  // size, ETag and X-Timestamp. Where the primary devices here have none, some of the others are
  // looked at: Swift puts a replica on one of them while a primary device is away.
  [[nodiscard]] Result<UniqueFd> Find(const Places& places, const store::ObjectPath& path,
                                      const store::ObjectInfo& said) const;

 private:
  struct Policy {
    unsigned index = 0;
    std::unique_ptr<RingFile> ring;
  };

  explicit LocalObjects(LocalOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<Places> AskPlaces(const store::Caller& caller, const store::ObjectPath& path,
                                         const PathHash& hash) const;
  Result<void> OpenRings(const ClusterConf& conf);
  [[nodiscard]] bool IsHere(const RingDevice& device) const;
  [[nodiscard]] bool IsHere(const std::string& address) const;
  [[nodiscard]] Result<UniqueFd> OpenIn(const std::string& place, const store::ObjectPath& path,
                                        const store::ObjectInfo& said) const;

  const LocalOptions options_;
  UniqueFd devices_;
  HashAffixes affixes_;
  std::vector<Policy> policies_;
  std::set<std::string, std::less<>> addresses_;
  bool has_loopback_ = false;  // 127.0.0.0/8 is here
};

// Whether this host has the address by itself: one of an interface, or loopback.
Result<std::set<std::string, std::less<>>> InterfaceAddresses();

}  // namespace zerocloud::swift
