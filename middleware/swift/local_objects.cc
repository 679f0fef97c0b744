#include "middleware/swift/local_objects.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "middleware/http/text.h"
#include "middleware/swift/endpoints.h"
#include "middleware/swift/hash_files.h"

namespace zerocloud::swift {
namespace {

constexpr std::size_t kMostFiles = 1000;   // in one object's directory
constexpr std::size_t kMostHandoffs = 16;  // devices that are looked at besides the primary ones
constexpr int kAttempts = 3;               // an object may be overwritten between look and open

// Never out of `directory`, never through a symbolic link.
UniqueFd OpenBeneath(int directory, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long opened = -1;
  do {
    opened = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
  } while (opened < 0 && (errno == EINTR || errno == EAGAIN));
  return UniqueFd(static_cast<int>(opened));
}

// Why an open failed, without the path.
std::unexpected<Error> FailOpen(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Fail(ErrorCode::kNotFound, "no replica of it is on this host");
    case ELOOP:
    case EXDEV:
      return Fail(ErrorCode::kForbidden, "a symbolic link lies in the way to it");
    case EACCES:
    case EPERM:
      return Fail(ErrorCode::kForbidden,
                  "this service may not read it: its user must be in the group of Swift's files");
    default:
      return FailErrno("its file cannot be opened", error);
  }
}

Result<std::vector<std::string>> NamesIn(UniqueFd directory) {
  const auto close = [](DIR* opened) { ::closedir(opened); };
  const std::unique_ptr<DIR, decltype(close)> listing(::fdopendir(directory.get()), close);
  if (listing == nullptr) return FailErrno("its directory cannot be read");
  [[maybe_unused]] const int owned_by_listing = directory.Release();
  std::vector<std::string> names;
  // One thread has this DIR, so readdir() is safe.
  while (const dirent* entry = ::readdir(listing.get())) {  // NOLINT(concurrency-mt-unsafe)
    if (names.size() == kMostFiles) {
      return Fail(ErrorCode::kLimitExceeded,
                  fmt::format("its directory has more than {} files", kMostFiles));
    }
    names.emplace_back(entry->d_name);
  }
  return names;
}

Result<void> CheckNewerMetadata(int directory, const HashFiles& files, store::Timestamp now,
                                std::vector<std::string>& times) {
  for (const std::string& name : files.metas) {
    const UniqueFd file = OpenBeneath(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file.is_open()) return FailOpen(errno);
    const Result<Metadata> metadata = ReadMetadata(file.get());
    if (!metadata) return Fail(metadata);
    const std::string why = WhyNotPlain(*metadata, now);
    if (!why.empty()) return Fail(ErrorCode::kInvalid, why);
    times.push_back(ValueOf(*metadata, "X-Timestamp"));
  }
  return {};
}

// The file's own word about itself.
Result<void> CheckData(int file, const HashFiles& files, const store::ObjectPath& path,
                       const store::ObjectInfo& said, store::Timestamp now,
                       std::vector<std::string>& times) {
  struct stat facts{};
  if (::fstat(file, &facts) != 0) return FailErrno("its file cannot be looked at");
  if (!S_ISREG(facts.st_mode)) return Fail(ErrorCode::kInvalid, "it is no regular file");
  const Result<Metadata> metadata = ReadMetadata(file);
  if (!metadata) return Fail(metadata);
  if (ValueOf(*metadata, "name") != path.ToString()) {
    return Fail(ErrorCode::kInvalid, "the file in its place has the name of another object");
  }
  const std::string why = WhyNotPlain(*metadata, now);
  if (!why.empty()) return Fail(ErrorCode::kInvalid, why);
  const std::optional<std::uint64_t> length =
      http::ParseNumber(ValueOf(*metadata, "Content-Length"));
  if (!length || facts.st_size < 0 || static_cast<std::uint64_t>(facts.st_size) != *length) {
    return Fail(ErrorCode::kInvalid, "its file is not as long as its metadata say");
  }
  const std::string time = ValueOf(*metadata, "X-Timestamp");
  if (store::Timestamp::Parse(time) != files.time) {
    return Fail(ErrorCode::kInvalid, "its file has another timestamp than its name");
  }
  if (*length != said.size || !http::EqualsIgnoringCase(ValueOf(*metadata, "ETag"), said.etag)) {
    return Fail(ErrorCode::kConflict, "the replica on this host is another version of it");
  }
  times.push_back(time);
  return {};
}

}  // namespace

Result<std::set<std::string, std::less<>>> InterfaceAddresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return FailErrno("cannot list the network interfaces");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  std::set<std::string, std::less<>> found;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = each->ifa_addr;
    const char* written = nullptr;
    if (each->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = static_cast<const sockaddr_in*>(address);
      written = ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    } else if (each->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = static_cast<const sockaddr_in6*>(address);
      written = ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    }
    if (written != nullptr) found.emplace(written);
  }
  return found;
}

Result<std::unique_ptr<LocalObjects>> LocalObjects::Open(LocalOptions options) {
  std::unique_ptr<LocalObjects> local(new LocalObjects(std::move(options)));
  const LocalOptions& chosen = local->options_;
  local->devices_.Reset(::open(chosen.devices_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!local->devices_.is_open()) {
    return FailErrno("cannot open the directory of devices " + chosen.devices_directory);
  }
  if (!OpenBeneath(local->devices_.get(), ".", O_PATH | O_DIRECTORY).is_open()) {
    return FailErrno("this kernel has no openat2 (Linux 5.6), without which devices are not read");
  }
  const std::string conf_path = chosen.swift_directory + "/swift.conf";
  const Result<std::string> text = ReadWholeFile(conf_path, kMaxConfBytes);
  if (!text) return Fail(text);
  Result<ClusterConf> conf = ParseClusterConf(*text);
  if (!conf) return Fail(conf.error().code, conf_path + ": " + conf.error().message);
  local->affixes_ = std::move(conf->affixes);
  if (Result<void> opened = local->OpenRings(*conf); !opened) return Fail(opened);
  if (chosen.addresses.empty()) {
    Result<std::set<std::string, std::less<>>> own = InterfaceAddresses();
    if (!own) return Fail(own);
    local->addresses_ = std::move(*own);
    local->has_loopback_ = true;
  } else {
    local->addresses_.insert(chosen.addresses.begin(), chosen.addresses.end());
  }
  return local;
}

Result<void> LocalObjects::OpenRings(const ClusterConf& conf) {
  for (const StoragePolicy& policy : conf.policies) {
    if (!policy.is_replicated) continue;
    policies_.push_back({policy.index, nullptr});
    if (options_.ask_endpoints) continue;
    auto ring =
        RingFile::Open(options_.swift_directory + "/" + policy.RingName(), options_.complain);
    if (!ring) return Fail(ring);
    policies_.back().ring = std::move(*ring);
  }
  return {};
}

bool LocalObjects::IsHere(const RingDevice& device) const {
  return IsHere(device.address) || addresses_.contains(device.replication_address);
}

bool LocalObjects::IsHere(const std::string& address) const {
  return addresses_.contains(address) || (has_loopback_ && address.starts_with("127."));
}

std::vector<DeviceState> LocalObjects::Devices() {
  std::vector<DeviceState> states;
  for (Policy& policy : policies_) {
    if (policy.ring == nullptr) continue;
    const std::shared_ptr<const Ring> ring = policy.ring->Current();
    for (const RingDevice& device : ring->devices()) {
      if (!device.is_there || !IsHere(device)) continue;
      DeviceState& state = states.emplace_back(DeviceState{policy.index, device.name, {}});
      const UniqueFd root = OpenBeneath(devices_.get(), device.name.c_str(), O_PATH | O_DIRECTORY);
      if (!root.is_open()) {
        state.why_not = ErrnoError("it cannot be opened", errno).message;
        continue;
      }
      const std::string objects =
          policy.index == 0 ? "objects" : fmt::format("objects-{}", policy.index);
      // Swift makes it with the first object.
      const UniqueFd readable = OpenBeneath(root.get(), objects.c_str(), O_RDONLY | O_DIRECTORY);
      if (!readable.is_open() && errno != ENOENT) {
        state.why_not = ErrnoError("its objects cannot be read", errno).message;
      }
    }
  }
  return states;
}

Result<LocalObjects::Places> LocalObjects::AskPlaces(const store::Caller& caller,
                                                     const store::ObjectPath& path,
                                                     const PathHash& hash) const {
  const Result<std::string> answer = options_.ask_endpoints(caller, path);
  if (!answer) return Fail(answer);
  const Result<Endpoints> told = ParseEndpoints(*answer);
  if (!told) return Fail(told);
  Places places;
  const bool is_replicated = std::ranges::any_of(
      policies_, [&](const Policy& policy) { return policy.index == told->policy; });
  if (!is_replicated) return places;  // its pieces are on no device as one file
  for (const Endpoint& endpoint : told->endpoints) {
    if (!IsHere(endpoint.address)) continue;
    places.primary.push_back(endpoint.device + "/" +
                             HashDirectory(told->policy, endpoint.partition, hash));
  }
  return places;
}

Result<LocalObjects::Places> LocalObjects::Locate(const store::Caller& caller,
                                                  const store::ObjectPath& path) {
  const Result<PathHash> hash = HashPath(affixes_, path);
  if (!hash) return Fail(hash);
  if (options_.ask_endpoints) return AskPlaces(caller, path, *hash);
  Places places;
  for (Policy& policy : policies_) {
    const std::shared_ptr<const Ring> ring = policy.ring->Current();
    const std::uint32_t partition = PartitionOf(*hash, ring->part_shift());
    const std::string directory = HashDirectory(policy.index, partition, *hash);
    const auto add = [&](const RingDevice& device, std::vector<std::string>& list) {
      if (!IsHere(device)) return;
      std::string place = device.name + "/" + directory;
      // Devices of several addresses may have one name.
      const bool is_new = std::ranges::find(places.primary, place) == places.primary.end() &&
                          std::ranges::find(list, place) == list.end();
      if (is_new) list.push_back(std::move(place));
    };
    for (const RingDevice* device : ring->DevicesOf(partition)) add(*device, places.primary);
    for (const RingDevice& device : ring->devices()) {
      if (places.handoff.size() == kMostHandoffs) break;
      if (device.is_there) add(device, places.handoff);
    }
  }
  return places;
}

Result<UniqueFd> LocalObjects::Find(const Places& places, const store::ObjectPath& path,
                                    const store::ObjectInfo& said) const {
  // The first that tells more than that there is nothing.
  Error reason{ErrorCode::kNotFound, "no replica of it is on this host"};
  for (const std::vector<std::string>* list : {&places.primary, &places.handoff}) {
    for (const std::string& place : *list) {
      Result<UniqueFd> file = OpenIn(place, path, said);
      if (file) return file;
      if (reason.code == ErrorCode::kNotFound) reason = file.error();
    }
  }
  return std::unexpected(std::move(reason));
}

Result<UniqueFd> LocalObjects::OpenIn(const std::string& place, const store::ObjectPath& path,
                                      const store::ObjectInfo& said) const {
  const store::Timestamp now = store::Timestamp::FromNanoseconds(options_.clock());
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const UniqueFd directory = OpenBeneath(devices_.get(), place.c_str(), O_RDONLY | O_DIRECTORY);
    if (!directory.is_open()) return FailOpen(errno);
    // Of its own, because listing moves its offset and ends it.
    UniqueFd listed = OpenBeneath(directory.get(), ".", O_RDONLY | O_DIRECTORY);
    if (!listed.is_open()) return FailOpen(errno);
    const Result<std::vector<std::string>> names = NamesIn(std::move(listed));
    if (!names) return Fail(names);
    const Result<HashFiles> files = ChooseFiles(*names);
    if (!files) return Fail(files);
    UniqueFd file =
        OpenBeneath(directory.get(), files->data.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file.is_open()) {
      if (errno == ENOENT) continue;  // overwritten or deleted this moment
      return FailOpen(errno);
    }
    std::vector<std::string> times;
    Result<void> checked = CheckData(file.get(), *files, path, said, now, times);
    if (checked) checked = CheckNewerMetadata(directory.get(), *files, now, times);
    if (!checked) return Fail(checked);
    // Of the PUT, or of a later POST, which leaves the bytes as they are.
    const std::optional<store::Timestamp> told = store::Timestamp::Parse(said.last_modified);
    const bool is_that = told && std::ranges::any_of(times, [&](const std::string& time) {
                           return store::Timestamp::Parse(time) == told;
                         });
    if (!is_that) {
      return Fail(ErrorCode::kConflict, "the replica on this host is another version of it");
    }
    // As a session gets it: blocking like any regular file.
    if (::fcntl(file.get(), F_SETFL, 0) != 0) return FailErrno("its file cannot be used");
    return file;
  }
  return Fail(ErrorCode::kNotFound, "it is being overwritten all the time");
}

}  // namespace zerocloud::swift
