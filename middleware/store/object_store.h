// ObjectStore: objects as jobs see them, whoever keeps them (the embedded store, or a Swift
// endpoint over HTTP). Everything is done as one caller: each call is authorised with the rights
// that the caller has at that moment, and refusals are kForbidden.
//
// Calls block; they are made from the job engine's worker threads, never from a server's I/O
// thread. Thread-safe: several calls may run at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::store {

// "swift://account/container/object", decoded. The object may hold '/'; it is never empty where a
// whole object is meant.
struct ObjectPath {
  std::string account;
  std::string container;
  std::string object;

  // "/account/container/object", for messages.
  [[nodiscard]] std::string ToString() const;
  friend auto operator<=>(const ObjectPath&, const ObjectPath&) = default;
};

struct ObjectInfo {
  std::uint64_t size = 0;
  std::string etag;  // MD5, 32 hex digits, no quotes
  std::string content_type;
  std::string last_modified;  // X-Timestamp as Swift prints it: "1700000000.12345"
  std::map<std::string, std::string> metadata;  // names without "X-Object-Meta-"
};

// Why bytes that are fetched only when a session reads them could not be fetched. Thread-safe.
class LateFailure {
 public:
  void Set(Error error);  // the first one counts
  [[nodiscard]] std::optional<Error> Get() const;

 private:
  mutable std::mutex mutex_;
  std::optional<Error> error_;  // guarded by mutex_
};

// An object opened for reading. `file` is a regular file (or sealed memory file) that nobody
// changes any more, although the object itself may be replaced or deleted meanwhile; its bytes [0,
// size) are the object's.
struct OpenedObject {
  ObjectInfo info;
  UniqueFd file;
  // The stored file itself, not a copy that was fetched.
  bool is_in_place = false;
  // Nobody writes to `file` ever again, by the word of Swift or because it is this store's own; so
  // it can be a session's memory.
  bool is_immutable = false;
  std::string why_not = {};  // why it was fetched, where that was a choice: a phrase about "it"
  // Set: `file` is no file but a socket that answers which bytes are asked for, for a session's
  // channel (runtime::SessionChannel::is_asked).
  std::shared_ptr<LateFailure> late_failure = {};
};

// An object as a listing names it.
struct ListedObject {
  std::string name;
  // What the listing says of it; `last_modified` is empty where it says nothing that can be relied
  // on.
  ObjectInfo info;
  std::chrono::steady_clock::time_point listed;  // when the store was asked
};

struct NewObject {
  ObjectPath path;
  std::string content_type;
  std::map<std::string, std::string> metadata;
};

// Who asks. The meaning of `token` is the store's: the embedded store has looked it up, the Swift
// store sends it on.
struct Caller {
  std::string account;  // of the request URL, "AUTH_test"
  std::string user;     // "account:user" where known, else empty
  std::string token;    // X-Auth-Token as it came; empty for an anonymous caller
  // For which job (and session) it asks, for the logs of whoever keeps the objects:
  // X-Trans-Id-Extra of Swift. Empty: nothing is told.
  std::string trace = {};
};

// What stands for a job in Caller::trace: "zc-" and the first 12 digits of the transaction id
// "tx0123456789abcdef01234-..." under which it was posted.
std::string JobTrace(std::string_view trans_id);
// For one of its sessions: "zc-0123456789ab-map-17". Of a long name the end, since Swift takes 32
// characters.
std::string SessionTrace(std::string_view job_trace, std::string_view session);

// Whether so many bytes of an object, in all, may be copied to this machine. An error ends the
// opening and is what it returns. Called on any thread while the opening lasts; does not block.
using MayFetch = std::function<Result<void>(std::uint64_t bytes)>;

// How an object will be read.
struct InputHints {
  // What a listing said of it that this caller got, or null. A store may take that as the caller's
  // right to read it, and then opens just the version that was listed.
  const ListedObject* listed = nullptr;
  bool is_random = false;  // here and there, perhaps little of it
  // Asked by a store that copies the object here before it is opened: with the size of the whole as
  // soon as that is known, before any byte, and again as they come. Null: all may be copied.
  MayFetch may_fetch = {};
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Result<ObjectInfo> Head(const Caller& caller, const ObjectPath& path) = 0;
  virtual Result<OpenedObject> Open(const Caller& caller, const ObjectPath& path) = 0;
  // The same for whoever can say how it will be read. Where that is at random, this may give a
  // socket instead of a file.
  virtual Result<OpenedObject> OpenInput(const Caller& caller, const ObjectPath& path,
                                         const InputHints& hints);

  // All containers of the account, or all objects of the container, whose names begin with
  // `prefix`, in byte order. At most `limit`; more is kLimitExceeded.
  virtual Result<std::vector<std::string>> ListContainers(const Caller& caller,
                                                          const std::string& account,
                                                          const std::string& prefix,
                                                          std::size_t limit) = 0;
  virtual Result<std::vector<ListedObject>> ListObjects(const Caller& caller,
                                                        const std::string& account,
                                                        const std::string& container,
                                                        const std::string& prefix,
                                                        std::size_t limit) = 0;

  // Whether the caller may write there now (the container exists, the ACL allows). A later Put can
  // still fail.
  virtual Result<void> CheckWritable(const Caller& caller, const ObjectPath& path) = 0;

  // Stores bytes [0, size) of `file` as the object, whole or not at all. `file` stays the caller's
  // and may be consumed (renamed into place) only if it is an unnamed file on the store's own disk.
  virtual Result<ObjectInfo> Put(const Caller& caller, const NewObject& object, int file,
                                 std::uint64_t size) = 0;
};

}  // namespace zerocloud::store
