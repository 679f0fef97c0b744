// An ObjectStore in memory for engine tests. Thread-safe.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "middleware/store/object_store.h"

namespace zerocloud::node {

class FakeStore : public store::ObjectStore {
 public:
  // "container/object" -> bytes; all of one account.
  std::map<std::string, std::string> objects;
  std::map<std::string, store::NewObject> put;  // what Put was given
  std::set<std::string> read_only;              // containers
  std::set<std::string> unstorable;             // objects whose Put fails
  std::mutex mutex;                             // over all of the above
  // Called at the start of each call but Head and Put, with the number of them so far. Set before
  // any job.
  std::function<void(int)> on_call;
  [[nodiscard]] int calls() const { return calls_; }

  Result<store::ObjectInfo> Head(const store::Caller&, const store::ObjectPath& path) override {
    const std::lock_guard lock(mutex);
    const auto found = objects.find(Key(path));
    if (found == objects.end()) return Fail(ErrorCode::kNotFound, "no such object");
    return Info(found->second);
  }
  Result<store::OpenedObject> Open(const store::Caller&, const store::ObjectPath& path) override {
    Called();
    const std::lock_guard lock(mutex);
    const auto found = objects.find(Key(path));
    if (found == objects.end()) return Fail(ErrorCode::kNotFound, "no such object");
    UniqueFd file(::memfd_create("object", MFD_CLOEXEC));
    const std::string& bytes = found->second;
    if (::pwrite(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      return FailErrno("memfd");
    }
    return store::OpenedObject{Info(bytes), std::move(file)};
  }
  // As a store that fetches: objects of these containers. Guarded by mutex.
  std::set<std::string> remote;
  int fetched = 0;
  Result<store::OpenedObject> OpenInput(const store::Caller& caller, const store::ObjectPath& path,
                                        const store::InputHints& hints) override {
    {
      const std::lock_guard lock(mutex);
      const auto found = objects.find(Key(path));
      if (remote.contains(path.container) && found != objects.end()) {
        if (Result<void> may = hints.may_fetch(found->second.size()); !may) return Fail(may);
        ++fetched;
      }
    }
    return Open(caller, path);
  }
  Result<std::vector<std::string>> ListContainers(const store::Caller&, const std::string&,
                                                  const std::string& prefix, std::size_t) override {
    Called();
    const std::lock_guard lock(mutex);
    std::set<std::string> names;
    for (const auto& [key, bytes] : objects) {
      const std::string container = key.substr(0, key.find('/'));
      if (container.starts_with(prefix)) names.insert(container);
    }
    return std::vector<std::string>(names.begin(), names.end());
  }
  Result<std::vector<store::ListedObject>> ListObjects(const store::Caller&, const std::string&,
                                                       const std::string& container,
                                                       const std::string& prefix,
                                                       std::size_t) override {
    Called();
    const std::lock_guard lock(mutex);
    std::vector<store::ListedObject> listed;
    std::string start = container;
    start.append("/").append(prefix);
    for (const auto& [key, bytes] : objects) {
      if (!key.starts_with(start)) continue;
      listed.push_back({key.substr(container.size() + 1), Info(bytes), {}});
    }
    return listed;
  }
  Result<void> CheckWritable(const store::Caller&, const store::ObjectPath& path) override {
    Called();
    const std::lock_guard lock(mutex);
    if (read_only.contains(path.container)) return Fail(ErrorCode::kForbidden, "you may not write");
    return {};
  }
  Result<store::ObjectInfo> Put(const store::Caller&, const store::NewObject& object, int file,
                                std::uint64_t size) override {
    std::string bytes(size, '\0');
    if (::pread(file, bytes.data(), size, 0) != static_cast<ssize_t>(size)) {
      return FailErrno("pread");
    }
    const std::lock_guard lock(mutex);
    if (unstorable.contains(Key(object.path))) return Fail(ErrorCode::kUnavailable, "disk full");
    put[Key(object.path)] = object;
    objects[Key(object.path)] = bytes;
    return Info(bytes);
  }

 private:
  static std::string Key(const store::ObjectPath& path) {
    return path.container + "/" + path.object;
  }
  static store::ObjectInfo Info(const std::string& bytes) {
    store::ObjectInfo info;
    info.size = bytes.size();
    info.etag = "etag-of-" + std::to_string(bytes.size());
    info.content_type = "text/x-fake";
    return info;
  }
  void Called() {
    const int number = ++calls_;
    if (on_call) on_call(number);
  }
  std::atomic<int> calls_ = 0;
};

}  // namespace zerocloud::node
