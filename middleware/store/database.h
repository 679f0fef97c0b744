// A thin layer over one SQLite connection: prepared statements kept by their text, values bound by
// position. Not thread-safe; its owner holds a mutex.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::store {

class Database;

// One run of a prepared statement; given back to its database when destroyed.
class Statement {
 public:
  Statement(Database& database, sqlite3_stmt* statement)
      : database_(&database), statement_(statement) {}
  Statement(Statement&& other) noexcept
      : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Positions count from 1. Names are bound as blobs: they compare as bytes.
  void BindBlob(int position, std::string_view value);
  void BindText(int position, std::string_view value);
  void BindInteger(int position, std::int64_t value);
  void BindNull(int position);

  // True: a row is there. False: done.
  Result<bool> Step();
  // Step() for a statement without rows.
  Result<void> Run();
  void Reset();

  // Columns count from 0.
  [[nodiscard]] std::string Text(int column) const;
  [[nodiscard]] std::int64_t Integer(int column) const;
  [[nodiscard]] bool IsNull(int column) const;

 private:
  Database* database_;
  sqlite3_stmt* statement_;
};

class Database {
 public:
  static Result<Database> Open(const std::string& path, bool read_only);

  // `sql` must be a literal: statements are kept by its text.
  Result<Statement> Prepare(const char* sql);
  Result<void> Execute(const char* sql);
  [[nodiscard]] Error LastError() const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  std::unique_ptr<sqlite3, Close> handle_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>, std::less<>> statements_;
};

}  // namespace zerocloud::store
