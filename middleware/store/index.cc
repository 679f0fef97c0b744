#include "middleware/store/index.h"

#include <unistd.h>

#include <limits>

namespace zerocloud::store {
namespace {

// Names are blobs so that they compare as bytes. Totals are kept by triggers, in the same
// transaction as the rows they sum up.
constexpr const char* kSchema = R"sql(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  BEGIN IMMEDIATE;
  CREATE TABLE IF NOT EXISTS containers (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL, name BLOB NOT NULL,
    created INTEGER NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, name));
  CREATE TABLE IF NOT EXISTS objects (
    container INTEGER NOT NULL REFERENCES containers (id),
    name BLOB NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, content_type TEXT NOT NULL,
    timestamp INTEGER NOT NULL, delete_at INTEGER,
    data_mtime INTEGER NOT NULL, sidecar_mtime INTEGER NOT NULL,
    PRIMARY KEY (container, name)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS objects_by_delete_at ON objects (container, delete_at)
    WHERE delete_at IS NOT NULL;
  CREATE TRIGGER IF NOT EXISTS object_added AFTER INSERT ON objects BEGIN
    UPDATE containers SET objects = objects + 1, bytes = bytes + NEW.size
      WHERE id = NEW.container;
  END;
  CREATE TRIGGER IF NOT EXISTS object_removed AFTER DELETE ON objects BEGIN
    UPDATE containers SET objects = objects - 1, bytes = bytes - OLD.size
      WHERE id = OLD.container;
  END;
  CREATE TRIGGER IF NOT EXISTS object_changed AFTER UPDATE OF size ON objects BEGIN
    UPDATE containers SET bytes = bytes - OLD.size + NEW.size WHERE id = NEW.container;
  END;
  PRAGMA user_version = 1;
  COMMIT;
)sql";
constexpr std::int64_t kSchemaVersion = 1;

// A blob above every name, for "no upper bound".
const std::string kAboveAll(1, '\xff');

const char* const kObjectColumns =
    "SELECT name, size, etag, content_type, timestamp, delete_at, data_mtime, sidecar_mtime "
    "FROM objects WHERE container = (SELECT id FROM containers WHERE account = ?1 AND name = ?2)";

ListingEntry ObjectEntry(const Statement& row) {
  ListingEntry entry;
  entry.name = row.Text(0);
  entry.bytes = static_cast<std::uint64_t>(row.Integer(1));
  entry.etag = row.Text(2);
  entry.content_type = row.Text(3);
  entry.timestamp = Timestamp{row.Integer(4)};
  return entry;
}

ListingEntry ContainerEntry(const Statement& row) {
  ListingEntry entry;
  entry.name = row.Text(0);
  entry.objects = static_cast<std::uint64_t>(row.Integer(1));
  entry.bytes = static_cast<std::uint64_t>(row.Integer(2));
  entry.timestamp = Timestamp{row.Integer(3)};
  return entry;
}

}  // namespace

Result<void> Index::Discard(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const std::string file = path + suffix;
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) return FailErrno("removing " + file);
  }
  return {};
}

Result<std::unique_ptr<Index>> Index::Open(const std::string& path) {
  auto writer = Database::Open(path, false);
  if (!writer) return Fail(writer);
  std::int64_t version = 0;
  {
    auto statement = writer->Prepare("PRAGMA user_version");
    if (!statement) return Fail(statement);
    const auto row = statement->Step();
    if (!row) return Fail(row);
    version = statement->Integer(0);
  }
  if (version != 0 && version != kSchemaVersion) {
    return Fail(ErrorCode::kInternal,
                "the listing index has version " + std::to_string(version) + ", not 1");
  }
  if (const auto made = writer->Execute(kSchema); !made) return Fail(made);
  auto reader = Database::Open(path, true);
  if (!reader) return Fail(reader);
  return std::unique_ptr<Index>(new Index(*std::move(writer), *std::move(reader)));
}

Result<void> Index::Transact(const std::function<Result<void>()>& work) {
  const std::scoped_lock lock(writer_mutex_);
  if (auto begun = writer_.Execute("BEGIN IMMEDIATE"); !begun) return begun;
  auto result = work();
  if (result) result = writer_.Execute("COMMIT");
  if (!result)
    static_cast<void>(writer_.Execute("ROLLBACK"));  // the first error is the one to tell
  return result;
}

Result<void> Index::PutContainer(const ContainerKey& key, Timestamp created) {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare(
      "INSERT INTO containers (account, name, created) VALUES (?1, ?2, ?3) "
      "ON CONFLICT (account, name) DO NOTHING");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  statement->BindInteger(3, created.ticks);
  return statement->Run();
}

Result<void> Index::DeleteContainer(const ContainerKey& key) {
  const std::scoped_lock lock(writer_mutex_);
  for (const char* sql : {"DELETE FROM objects WHERE container = "
                          "(SELECT id FROM containers WHERE account = ?1 AND name = ?2)",
                          "DELETE FROM containers WHERE account = ?1 AND name = ?2"}) {
    auto statement = writer_.Prepare(sql);
    if (!statement) return Fail(statement);
    statement->BindBlob(1, key.account);
    statement->BindBlob(2, key.container);
    if (auto run = statement->Run(); !run) return run;
  }
  return {};
}

Result<void> Index::PutObject(const ContainerKey& key, const IndexedObject& object) {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare(
      "INSERT INTO objects (container, name, size, etag, content_type, timestamp, delete_at, "
      "data_mtime, sidecar_mtime) VALUES "
      "((SELECT id FROM containers WHERE account = ?1 AND name = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
      "?10) ON CONFLICT (container, name) DO UPDATE SET size = excluded.size, "
      "etag = excluded.etag, content_type = excluded.content_type, "
      "timestamp = excluded.timestamp, delete_at = excluded.delete_at, "
      "data_mtime = excluded.data_mtime, sidecar_mtime = excluded.sidecar_mtime");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  statement->BindBlob(3, object.name);
  statement->BindInteger(4, static_cast<std::int64_t>(object.size));
  statement->BindText(5, object.etag);
  statement->BindText(6, object.content_type);
  statement->BindInteger(7, object.timestamp.ticks);
  if (object.delete_at) {
    statement->BindInteger(8, *object.delete_at);
  } else {
    statement->BindNull(8);
  }
  statement->BindInteger(9, object.data_mtime_ns);
  statement->BindInteger(10, object.sidecar_mtime_ns);
  return statement->Run();
}

Result<void> Index::DeleteObject(const ContainerKey& key, const std::string& name) {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare(
      "DELETE FROM objects WHERE container = "
      "(SELECT id FROM containers WHERE account = ?1 AND name = ?2) AND name = ?3");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  statement->BindBlob(3, name);
  return statement->Run();
}

Result<AccountTotals> Index::TotalsOf(const std::string& account) {
  const std::scoped_lock lock(reader_mutex_);
  auto statement = reader_.Prepare(
      "SELECT COUNT(*), TOTAL(objects), TOTAL(bytes), IFNULL(MIN(created), 0) FROM containers "
      "WHERE account = ?1");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, account);
  if (auto row = statement->Step(); !row) return Fail(row);
  return AccountTotals{static_cast<std::uint64_t>(statement->Integer(0)),
                       static_cast<std::uint64_t>(statement->Integer(1)),
                       static_cast<std::uint64_t>(statement->Integer(2)),
                       Timestamp{statement->Integer(3)}};
}

Result<ContainerTotals> Index::TotalsOf(const ContainerKey& key) {
  const std::scoped_lock lock(reader_mutex_);
  auto statement =
      reader_.Prepare("SELECT objects, bytes FROM containers WHERE account = ?1 AND name = ?2");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  const auto row = statement->Step();
  if (!row) return Fail(row);
  if (!*row) return Fail(ErrorCode::kNotFound, "there is no such container");
  return ContainerTotals{static_cast<std::uint64_t>(statement->Integer(0)),
                         static_cast<std::uint64_t>(statement->Integer(1))};
}

Result<std::vector<ContainerKey>> Index::AllContainers() {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare("SELECT account, name FROM containers");
  if (!statement) return Fail(statement);
  std::vector<ContainerKey> all;
  while (true) {
    const auto row = statement->Step();
    if (!row) return Fail(row);
    if (!*row) return all;
    all.push_back({statement->Text(0), statement->Text(1)});
  }
}

Result<void> Index::ForEachObject(const ContainerKey& key,
                                  const std::function<void(IndexedObject)>& visit) {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare(kObjectColumns);
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  while (true) {
    const auto row = statement->Step();
    if (!row) return Fail(row);
    if (!*row) return {};
    IndexedObject object;
    object.name = statement->Text(0);
    object.size = static_cast<std::uint64_t>(statement->Integer(1));
    object.etag = statement->Text(2);
    object.content_type = statement->Text(3);
    object.timestamp = Timestamp{statement->Integer(4)};
    if (!statement->IsNull(5)) object.delete_at = statement->Integer(5);
    object.data_mtime_ns = statement->Integer(6);
    object.sidecar_mtime_ns = statement->Integer(7);
    visit(std::move(object));
  }
}

Result<Timestamp> Index::Latest() {
  const std::scoped_lock lock(writer_mutex_);
  auto statement = writer_.Prepare(
      "SELECT MAX((SELECT IFNULL(MAX(timestamp), 0) FROM objects), "
      "(SELECT IFNULL(MAX(created), 0) FROM containers))");
  if (!statement) return Fail(statement);
  if (auto row = statement->Step(); !row) return Fail(row);
  return Timestamp{statement->Integer(0)};
}

Result<std::vector<ListingEntry>> Index::ListContainers(const std::string& account,
                                                        const ListingQuery& query) {
  const std::scoped_lock lock(reader_mutex_);
  const RowSource rows = [&](const std::string& low, const std::string& high, bool reverse,
                             const TakeRow& take) -> Result<void> {
    auto statement = reader_.Prepare(
        reverse ? "SELECT name, objects, bytes, created FROM containers WHERE account = ?1 AND "
                  "name >= ?2 AND name < ?3 ORDER BY name DESC"
                : "SELECT name, objects, bytes, created FROM containers WHERE account = ?1 AND "
                  "name >= ?2 AND name < ?3 ORDER BY name");
    if (!statement) return Fail(statement);
    statement->BindBlob(1, account);
    statement->BindBlob(2, low);
    statement->BindBlob(3, high.empty() ? kAboveAll : high);
    while (true) {
      const auto row = statement->Step();
      if (!row) return Fail(row);
      if (!*row || !take(ContainerEntry(*statement))) return {};
    }
  };
  return WalkListing(query, rows);
}

Result<std::vector<ListingEntry>> Index::ListObjects(const ContainerKey& key,
                                                     const ListingQuery& query, Timestamp now) {
  const std::scoped_lock lock(reader_mutex_);
  const RowSource rows = [&](const std::string& low, const std::string& high, bool reverse,
                             const TakeRow& take) -> Result<void> {
    auto statement = reader_.Prepare(
        reverse ? "SELECT name, size, etag, content_type, timestamp FROM objects WHERE container = "
                  "(SELECT id FROM containers WHERE account = ?1 AND name = ?2) AND name >= ?3 AND "
                  "name < ?4 AND (delete_at IS NULL OR delete_at > ?5) ORDER BY name DESC"
                : "SELECT name, size, etag, content_type, timestamp FROM objects WHERE container = "
                  "(SELECT id FROM containers WHERE account = ?1 AND name = ?2) AND name >= ?3 AND "
                  "name < ?4 AND (delete_at IS NULL OR delete_at > ?5) ORDER BY name");
    if (!statement) return Fail(statement);
    statement->BindBlob(1, key.account);
    statement->BindBlob(2, key.container);
    statement->BindBlob(3, low);
    statement->BindBlob(4, high.empty() ? kAboveAll : high);
    statement->BindInteger(5, now.FloorSeconds());
    while (true) {
      const auto row = statement->Step();
      if (!row) return Fail(row);
      if (!*row || !take(ObjectEntry(*statement))) return {};
    }
  };
  return WalkListing(query, rows);
}

Result<std::vector<std::string>> Index::Expired(const ContainerKey& key, Timestamp now,
                                                std::size_t limit) {
  const std::scoped_lock lock(reader_mutex_);
  auto statement = reader_.Prepare(
      "SELECT name FROM objects WHERE container = "
      "(SELECT id FROM containers WHERE account = ?1 AND name = ?2) AND delete_at <= ?3 LIMIT ?4");
  if (!statement) return Fail(statement);
  statement->BindBlob(1, key.account);
  statement->BindBlob(2, key.container);
  statement->BindInteger(3, now.FloorSeconds());
  statement->BindInteger(4, static_cast<std::int64_t>(limit));
  std::vector<std::string> names;
  while (true) {
    const auto row = statement->Step();
    if (!row) return Fail(row);
    if (!*row) return names;
    names.push_back(statement->Text(0));
  }
}

}  // namespace zerocloud::store
