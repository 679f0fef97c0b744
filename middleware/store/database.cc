#include "middleware/store/database.h"

#include "middleware/store/tree.h"

namespace zerocloud::store {

Statement::~Statement() {
  if (statement_ != nullptr) Reset();
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

// SQLITE_TRANSIENT makes SQLite copy the bytes. A null pointer would bind NULL, so empty values
// point at a literal. A failed bind (out of memory) leaves NULL, which the NOT NULL columns refuse.
void Statement::BindBlob(int position, std::string_view value) {
  sqlite3_bind_blob64(statement_, position, value.empty() ? "" : value.data(), value.size(),
                      SQLITE_TRANSIENT);  // NOLINT(performance-no-int-to-ptr): SQLite's macro
}

void Statement::BindText(int position, std::string_view value) {
  sqlite3_bind_text64(statement_, position, value.empty() ? "" : value.data(), value.size(),
                      SQLITE_TRANSIENT,  // NOLINT(performance-no-int-to-ptr): SQLite's macro
                      SQLITE_UTF8);
}

void Statement::BindInteger(int position, std::int64_t value) {
  sqlite3_bind_int64(statement_, position, value);
}

void Statement::BindNull(int position) { sqlite3_bind_null(statement_, position); }

Result<bool> Statement::Step() {
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return std::unexpected<Error>(database_->LastError());
  }
}

Result<void> Statement::Run() {
  if (auto stepped = Step(); !stepped) return Fail(stepped);
  return {};
}

std::string Statement::Text(int column) const {
  const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  if (bytes == nullptr || size <= 0) return {};
  return {bytes, static_cast<std::size_t>(size)};
}

std::int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<Database> Database::Open(const std::string& path, bool read_only) {
  sqlite3* handle = nullptr;
  const int flags =
      (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database;
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return std::unexpected<Error>(database.LastError());
  sqlite3_busy_timeout(handle, 10'000);
  return database;
}

Result<Statement> Database::Prepare(const char* sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(handle_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                           nullptr) != SQLITE_OK) {
      return std::unexpected<Error>(LastError());
    }
    found = statements_.emplace(sql, statement).first;
  }
  return Statement(*this, found->second.get());
}

Result<void> Database::Execute(const char* sql) {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected<Error>(LastError());
  }
  return {};
}

Error Database::LastError() const {
  const int code = handle_ ? sqlite3_errcode(handle_.get()) & 0xff : SQLITE_NOMEM;
  const std::string what =
      "the listing index: " + std::string(handle_ ? sqlite3_errmsg(handle_.get()) : "no memory");
  if (code == SQLITE_FULL) return WriteError(what, ENOSPC);
  if (code == SQLITE_BUSY || code == SQLITE_NOMEM) return {ErrorCode::kUnavailable, what};
  return {ErrorCode::kInternal, what};
}

}  // namespace zerocloud::store
