// Config: everything an operator can choose about one zerocloud process, as values, with defaults.
// The options themselves (names, units, ranges, reasons) are one table in options.cc; it reads the
// files, prints the effective configuration, and writes the option list of docs/configuration.md
// and the sample file, so that they cannot differ. An option is called SECTION.KEY.
//
// Pure: text in, values out. Errors are kInvalid with the place (file and line, or the command
// line), the option and a sentence.
#pragma once

#include <cstdint>
#include <map>
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
  bool proxy_protocol = false;
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
  std::uint64_t gang_wait_seconds = 600;
  std::uint64_t workers = 4;
  std::uint64_t programs = 64;
  bool own_namespaces = false;
  std::uint64_t spool_bytes = 64ULL << 30U;
  std::string spool_directory = "/var/tmp";
  std::string control_groups;
  // Sessions at once, where 0 says: as many as there are processors, at least 2.
  [[nodiscard]] std::size_t slots() const;
};

struct StorageSection {
  std::uint64_t object_bytes = 5ULL << 30U;
  bool durable = true;
};

// Where replicas of the upstream's objects lie on this host. All empty: nowhere.
struct LocalSection {
  std::string devices;
  std::string swift_dir;
  std::string addresses;
  std::uint64_t listing_seconds = 60;
  bool endpoints = false;
};

struct HealthcheckSection {
  std::string disable_path;
};

struct LogSection {
  std::string access = "json";
  std::uint64_t token_bytes = 16;
};

struct MetricsSection {
  std::string listen;
  std::string path = "/metrics";
};

struct StatsdSection {
  std::string host;
  std::uint64_t port = 8125;
  std::string prefix;
  std::uint64_t sample_percent = 100;
  std::uint64_t gauge_seconds = 10;
};

// The other machines that run sessions for `zerocloud serve`. An empty list: there are none.
struct NodesSection {
  std::string list;
  std::string key_file;
  std::uint64_t attempts = 3;
  std::uint64_t silence_seconds = 10;
  bool fallback = false;
};

// What only `zerocloud node` uses.
struct NodeSection {
  std::string listen = "127.0.0.1:8090";
  std::uint64_t waiting = 64;
};

struct Config {
  std::string listen = "127.0.0.1:8080";
  std::string store;     // a directory; or
  std::string upstream;  // URLs
  std::vector<User> users;
  ServerSection server;
  HealthcheckSection healthcheck;
  LogSection log;
  MetricsSection metrics;
  StatsdSection statsd;
  StorageSection storage;
  ProxySection proxy;
  LocalSection local;
  EngineSection engine;
  NodesSection nodes;
  NodeSection node;
  job::JobLimits jobs;
};

// A configuration being put together from several sources, the later of which win.
struct Settings {
  Config config;
  // Where the value of an option ("server.threads") comes from, if it is not the default:
  // "/etc/zerocloud/zerocloud.conf:12", "the command line". Users are "users.ACCOUNT:USER".
  std::map<std::string, std::string> origins;
  // What is not wrong enough to refuse: options and sections that do not exist, options that two
  // files give different values.
  std::vector<std::string> warnings;
};

// Sets what the text of an ini file (ini.h) says; `file` is its name in messages. What it does not
// know it warns of. A value that is out of bounds, or text that is no ini, is an error.
Result<void> ApplyIni(Settings& settings, std::string_view file, std::string_view text);

// One option as a command line has it: "server.head_bytes", "131072". One that does not exist is
// an error here.
Result<void> ApplyOption(Settings& settings, std::string_view name, std::string_view value);

// "account:user:key" or "account:user:key:admin".
Result<User> ParseUser(std::string_view text);

// What must hold between options: exactly one of store and upstream, users only with a store,
// distinct users, an address that can be listened on.
Result<void> Check(const Config& config);

// What SIGHUP makes of `running` when it reads `read`: some options of `zerocloud serve` change
// while it runs, the others stay as they were.
Config Reloaded(const Config& running, const Config& read);
// The names of the others that differ, in the order of the table.
std::vector<std::string> NeedRestart(const Config& running, const Config& read);
// The names of all that differ: `zerocloud node` reads its configuration when it starts.
std::vector<std::string> Differ(const Config& running, const Config& read);

// "host:port", "[::1]:port". A port alone or a name that is not numeric is an error.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};
Result<Endpoint> ParseEndpoint(std::string_view text);

// Every option with the value in force, as an ini file that ApplyIni reads; before each that is
// not the default, a comment with its origin. Keys of users are not shown.
std::string Dump(const Settings& settings);

// The option list of docs/configuration.md, as Markdown.
std::string Manual();

// The options that were set and mean nothing to `zerocloud node`, in the order of the table. Of
// [jobs] none: it is to be the same on all machines, and a node uses some of it.
std::vector<std::string> UnusedByNode(const Settings& settings);

// What a node does use: the table of docs/nodes.md.
std::string NodeManual();

// swift-config/zerocloud.conf-sample: every option explained, with its default, as a comment.
std::string Sample();

}  // namespace zerocloud::config
