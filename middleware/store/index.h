// The listing index: names, sizes, ETags and totals in one SQLite file, so that listings of
// millions of objects cost what they return. It holds nothing that the tree and the sidecars do
// not: a lost or damaged file is made anew by a scan.
//
// Thread-safe: one connection writes, another reads (WAL), each behind its own mutex.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/database.h"
#include "middleware/store/listing.h"
#include "middleware/store/timestamp.h"

namespace zerocloud::store {

struct IndexedObject {
  std::string name;
  std::uint64_t size = 0;
  std::string etag;  // empty: not computed yet (a file that somebody dropped in)
  std::string content_type;
  Timestamp timestamp;
  std::optional<std::int64_t> delete_at;
  // Of the data file and its sidecar, by which a scan sees what has changed. 0: no sidecar.
  std::int64_t data_mtime_ns = 0;
  std::int64_t sidecar_mtime_ns = 0;
};

struct ContainerTotals {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
};

struct AccountTotals {
  std::uint64_t containers = 0;
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  Timestamp oldest;  // of its containers; 0 without any
};

struct ContainerKey {
  std::string account;
  std::string container;

  friend auto operator<=>(const ContainerKey&, const ContainerKey&) = default;
};

class Index {
 public:
  // Opens or creates the file at `path` (no symbolic links in it). kInternal: damaged; the caller
  // removes it with Discard() and opens again.
  static Result<std::unique_ptr<Index>> Open(const std::string& path);
  static Result<void> Discard(const std::string& path);

  // Runs `work` in one transaction; an error rolls back. Not to be nested.
  Result<void> Transact(const std::function<Result<void>()>& work);

  Result<void> PutContainer(const ContainerKey& key, Timestamp created);
  Result<void> DeleteContainer(const ContainerKey& key);
  Result<void> PutObject(const ContainerKey& key, const IndexedObject& object);
  Result<void> DeleteObject(const ContainerKey& key, const std::string& name);

  [[nodiscard]] Result<AccountTotals> TotalsOf(const std::string& account);
  // kNotFound: no such container.
  [[nodiscard]] Result<ContainerTotals> TotalsOf(const ContainerKey& key);
  [[nodiscard]] Result<std::vector<ContainerKey>> AllContainers();
  // Every object of a container, in no order.
  Result<void> ForEachObject(const ContainerKey& key,
                             const std::function<void(IndexedObject)>& visit);
  // The latest timestamp of all objects and containers.
  [[nodiscard]] Result<Timestamp> Latest();

  [[nodiscard]] Result<std::vector<ListingEntry>> ListContainers(const std::string& account,
                                                                 const ListingQuery& query);
  // Objects past their delete_at at `now` are left out.
  [[nodiscard]] Result<std::vector<ListingEntry>> ListObjects(const ContainerKey& key,
                                                              const ListingQuery& query,
                                                              Timestamp now);
  // Names of objects past their delete_at, at most `limit`.
  [[nodiscard]] Result<std::vector<std::string>> Expired(const ContainerKey& key, Timestamp now,
                                                         std::size_t limit);

 private:
  Index(Database writer, Database reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}

  std::recursive_mutex writer_mutex_;  // recursive: Transact() holds it around the calls
  std::mutex reader_mutex_;
  Database writer_;
  Database reader_;
};

}  // namespace zerocloud::store
