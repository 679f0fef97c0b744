// Config: everything an operator can choose about one zerocloud process, as values, with defaults.
// The options themselves (names, units, ranges, reasons) are one table in options.cc; it reads the
// file, prints the effective configuration and writes the option list of docs/configuration.md, so
// that the three cannot differ.
//
// Pure: text in, values out. Errors are kInvalid with a JSON pointer and a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/job/job_limits.h"

namespace zerocloud::config {

// Somebody who may get a token from the embedded store: "account:user" with a key.
struct User {
  std::string account;  // without the prefix "AUTH_"
  std::string user;
  std::string key;
  bool is_admin = false;  // owns the account; others need ACLs

  friend bool operator==(const User&, const User&) = default;
};

struct ServerSection {
  std::uint64_t threads = 0;
  std::uint64_t request_line_bytes = 8192;
  std::uint64_t head_bytes = 73'728;
  std::uint64_t head_fields = 200;
  std::uint64_t pipelined_bytes = 65'536;
  std::uint64_t drained_bytes = 1'048'576;
  std::uint64_t connections = 4096;
  std::uint64_t idle_timeout_seconds = 60;
  std::uint64_t head_timeout_seconds = 30;
  std::uint64_t read_timeout_seconds = 60;
  std::uint64_t write_timeout_seconds = 60;
  std::uint64_t stop_grace_seconds = 10;
  std::uint64_t proxy_protocol = 0;
  std::string tls_certificate;
  std::string tls_key;
};

struct ProxySection {
  std::uint64_t connect_timeout_seconds = 5;
  std::uint64_t response_timeout_seconds = 60;
  std::uint64_t idle_connections = 64;
  std::uint64_t connections = 1024;
  std::uint64_t left_out_seconds = 5;
  std::uint64_t requests_at_once = 16;
  std::uint64_t asked_from_bytes = 4ULL << 20U;
  std::string tls_authorities;
};

struct EngineSection {
  std::uint64_t sessions_at_once = 0;
  std::uint64_t jobs_at_once = 1000;
  std::uint64_t workers = 4;
  std::uint64_t programs = 64;
  std::uint64_t own_namespaces = 0;
  std::uint64_t spool_bytes = 64ULL << 30U;
  std::string spool_directory = "/var/tmp";
  std::string control_groups;
};

struct StorageSection {
  std::uint64_t object_bytes = 5ULL << 30U;
  std::uint64_t durable = 1;
};

// Where replicas of the upstream's objects lie on this host. All empty: nowhere.
struct LocalSection {
  std::string devices;
  std::string swift_dir;
  std::string addresses;
  std::uint64_t listing_seconds = 60;
};

struct Config {
  std::string listen = "127.0.0.1:8080";
  std::string store;     // a directory; or
  std::string upstream;  // URLs
  std::string log = "requests";
  std::vector<User> users;
  ServerSection server;
  StorageSection storage;
  ProxySection proxy;
  LocalSection local;
  EngineSection engine;
  job::JobLimits jobs;
};

// Sets what the JSON text says on top of `config`; `users` there replace those here.
Result<void> ApplyJson(Config& config, std::string_view json);

// One option by its pointer, as a command line has it: "/server/head_bytes", "131072".
Result<void> ApplyOption(Config& config, std::string_view pointer, std::string_view value);

// "account:user:key" or "account:user:key:admin".
Result<User> ParseUser(std::string_view text);

// What must hold between options: exactly one of store and upstream, users only with a store,
// distinct users, an address that can be listened on.
Result<void> Check(const Config& config);

// "host:port", "[::1]:port". A port alone or a name that is not numeric is an error.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};
Result<Endpoint> ParseEndpoint(std::string_view text);

// Every option with the value in force, as JSON that ApplyJson reads. Keys of users are not shown.
std::string Dump(const Config& config);

// The option list of docs/configuration.md, as Markdown.
std::string Manual();

}  // namespace zerocloud::config
