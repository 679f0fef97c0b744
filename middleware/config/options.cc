#include "middleware/config/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace zerocloud::config {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kTiB = kMiB * kMiB;
constexpr std::uint64_t kDay = 86'400;

constexpr auto kSections = std::to_array<SectionDescription>({
    {"zerocloud", "What is served, and where."},
    {"server", "Clients' connections."},
    {"healthcheck", "What load balancers ask, as Swift's filter of that name answers it."},
    {"log", "What goes to standard error."},
    {"metrics", "Numbers for Prometheus."},
    {"statsd", "The same numbers for StatsD, under Swift's names."},
    {"storage", "The embedded store."},
    {"proxy", "The upstream."},
    {"local", "Objects of the upstream that lie on this host."},
    {"engine", "What jobs may use of this host together."},
    {"nodes", "Other machines that run sessions: what their proxies and they agree on."},
    {"node", "What only zerocloud node uses."},
    {"jobs", "Limits of one job. GET /info shows them; a refused job is told which one it hit."},
});

// A row of one section: ZC_NUMBER(server, threads, "threads", 1, 256, "why").
#define ZC_NUMBER(section, name, unit, minimum, maximum, prose)                           \
  Option {                                                                                \
    #section, #name,                                                                      \
        NumberKind{unit, minimum, maximum,                                                \
                   [](Config& config) -> std::uint64_t& { return config.section.name; }}, \
        prose                                                                             \
  }
#define ZC_FLAG(section, name, prose)                                                             \
  Option {                                                                                        \
    #section, #name, FlagKind{[](Config& config) -> bool& { return config.section.name; }}, prose \
  }
#define ZC_TEXT(section, name, prose)                                                              \
  Option {                                                                                         \
    #section, #name, TextKind{[](Config& config) -> std::string& { return config.section.name; }}, \
        prose                                                                                      \
  }

TextKind Top(std::string Config::* field) {
  return {[field](Config& config) -> std::string& { return config.*field; }};
}

std::vector<Option> ServiceRows() {
  return {
      {"zerocloud", "listen", Top(&Config::listen),
       "Address and port to serve, 127.0.0.1:8080 or [::1]:8080. Port 0 takes a free one; the "
       "program prints which."},
      {"zerocloud", "store", Top(&Config::store),
       "Directory of the embedded store. Exactly one of store and upstream is set."},
      {"zerocloud", "upstream", Top(&Config::upstream),
       "URL of a Swift endpoint, http://host:port or https://host:port, to stand in front of; or "
       "several of one cluster, with commas between, which are used in turn."},
      ZC_TEXT(server, tls_certificate,
              "PEM file with the certificate to show, and its chain. With it only TLS is spoken. "
              "Read again on SIGHUP."),
      ZC_TEXT(server, tls_key, "PEM file with the key of that certificate."),
      ZC_NUMBER(server, threads, "threads", 0, 256,
                "Threads that serve connections. 0: with an upstream one for each processor; with "
                "a store, where local files may block one of them, two more."),
      ZC_NUMBER(server, request_line_bytes, "bytes", 256, 64 * kKiB,
                "Longest request line; Swift's own limit is 8192. More is 414."),
      ZC_NUMBER(server, head_bytes, "bytes", 1 * kKiB, 1 * kMiB,
                "Longest request head: object metadata travels there. Swift takes 8 KiB of request "
                "line and 64 KiB of fields. More is 431."),
      ZC_NUMBER(server, head_fields, "fields", 10, 10'000,
                "Header fields of a request. More is 431."),
      ZC_NUMBER(server, pipelined_bytes, "bytes", 1 * kKiB, 1 * kMiB,
                "What a client may send ahead while its request is answered; past it nothing is "
                "read, and a client that leaves is noticed only when the answer is sent."),
      ZC_NUMBER(server, drained_bytes, "bytes", 0, 100 * kMiB,
                "Of a request body that nobody wants, so much is read to keep the connection."),
      ZC_NUMBER(server, connections, "connections", 1, 1'000'000,
                "Open connections; each is a descriptor and some memory. One more gets 503."),
      ZC_NUMBER(server, idle_timeout_seconds, "seconds", 1, kDay,
                "How long a connection may wait between requests."),
      ZC_NUMBER(server, head_timeout_seconds, "seconds", 1, kDay,
                "How long a request head may take from its first byte, however it trickles."),
      ZC_NUMBER(server, read_timeout_seconds, "seconds", 1, kDay,
                "How long the next piece of a request body may take."),
      ZC_NUMBER(server, write_timeout_seconds, "seconds", 1, kDay,
                "How long a client may take to accept a piece of a response."),
      ZC_NUMBER(server, stop_grace_seconds, "seconds", 0, kDay,
                "How long requests under way may go on after SIGTERM; then they are cancelled."),
      ZC_FLAG(server, proxy_protocol,
              "Every connection must begin with a header of the PROXY protocol, version 1 or "
              "2, which says whose it is. Only for a port that nobody but a load balancer can "
              "reach."),
  };
}

std::vector<Option> OperatorRows() {
  return {
      ZC_TEXT(healthcheck, disable_path,
              "While this file exists, GET /healthcheck is answered 503 DISABLED BY FILE, so that "
              "load balancers leave this host out. Empty: never."),
      {"log", "access",
       TextKind{[](Config& config) -> std::string& { return config.log.access; },
                {"json", "swift", "none"}},
       "A line for each request: json, an object; swift, the fields that Swift's proxy logs, in "
       "its order and quoted as it quotes them; or none."},
      ZC_NUMBER(log, token_bytes, "bytes", 0, 1024,
                "Of a caller's token so many characters are logged (by swift; json has none), and "
                "none of a token that has no more; Swift's name is reveal_sensitive_prefix."),
      ZC_TEXT(metrics, listen,
              "Address and port of a listener of its own for metrics, 127.0.0.1:9281. Whoever can "
              "reach it reads them. Empty: none."),
      ZC_TEXT(metrics, path, "The path of the metrics there."),
      ZC_TEXT(statsd, host,
              "Numeric address or name of a StatsD server, to which datagrams go. Empty: none."),
      ZC_NUMBER(statsd, port, "", 1, 65'535, "The UDP port there."),
      ZC_TEXT(statsd, prefix,
              "Goes before each name, with a dot; log_statsd_metric_prefix of Swift."),
      ZC_NUMBER(statsd, sample_percent, "percent", 1, 100,
                "Of the events of requests and sessions so many are sent, and each says so."),
      ZC_NUMBER(statsd, gauge_seconds, "seconds", 1, 3600,
                "How often gauges are sent: jobs, sessions, slots, spool, nodes."),
  };
}

std::vector<Option> StorageRows() {
  return {
      ZC_NUMBER(storage, object_bytes, "bytes", 1, kTiB,
                "Largest object of the embedded store; Swift's own limit is 5 GiB."),
      ZC_FLAG(storage, durable,
              "What is stored is synced before the answer and survives a power failure. If not, it "
              "survives the end of the process at any moment, but not of the machine."),
      ZC_TEXT(proxy, tls_authorities,
              "PEM file with the authorities that may vouch for an https upstream. Empty: those "
              "that the system trusts."),
      ZC_NUMBER(proxy, connect_timeout_seconds, "seconds", 1, 600,
                "How long connecting to the upstream may take. Longer is 504."),
      ZC_NUMBER(proxy, response_timeout_seconds, "seconds", 1, kDay,
                "How long the upstream may be silent while it owes bytes. Longer is 504."),
      ZC_NUMBER(proxy, idle_connections, "connections", 0, 10'000,
                "Connections to each upstream that are kept open for the next request."),
      ZC_NUMBER(proxy, connections, "connections", 1, 100'000,
                "Connections to each upstream that are open at once, but for those of jobs. "
                "Requests past it wait for one, at most as long as connecting may take; then 503."),
      ZC_NUMBER(proxy, left_out_seconds, "seconds", 0, kDay,
                "How long an upstream that could not be reached gets no requests, unless all are "
                "like it."),
      ZC_NUMBER(proxy, requests_at_once, "requests", 1, 1000,
                "Requests that jobs make to the upstream at the same time."),
      ZC_NUMBER(proxy, asked_from_bytes, "bytes", 1, kTiB,
                "From this size on, the input of a session (not its stdin) is not downloaded: what "
                "the session reads of it is fetched by ranges."),
      ZC_TEXT(local, devices,
              "Directory of Swift's devices on this host, as the object server has it "
              "(/srv/node): plain objects that lie there are read in place. Empty: all objects "
              "are read by HTTP."),
      ZC_TEXT(local, swift_dir,
              "Directory with the swift.conf and the object rings of that Swift (/etc/swift)."),
      ZC_TEXT(local, addresses,
              "As which addresses this host is in the rings, with commas between. Empty: those "
              "of its network interfaces."),
      ZC_FLAG(local, endpoints,
              "Where an object lies is asked of the upstream, as the caller, with its middleware "
              "list_endpoints (one request for each object); no ring is read, but still "
              "swift.conf. If not, the rings of swift_dir tell."),
      ZC_NUMBER(local, listing_seconds, "seconds", 0, 3600,
                "How long a listing that the caller got is taken as the right to read what it "
                "names on this host; then Swift is asked by a HEAD for each object, and with 0 "
                "always. Swift itself keeps a container's access lists for 60 seconds."),
      ZC_TEXT(engine, spool_directory,
              "Where connections and outputs of jobs wait, as files without a name. A real disk, "
              "not a memory file system, if jobs may be larger than memory."),
      ZC_TEXT(engine, control_groups,
              "A directory of the cgroup file system (version 2) that is delegated to this user, "
              "with the controllers memory and pids: each session gets a group in it. Empty: "
              "none."),
      ZC_NUMBER(engine, sessions_at_once, "sessions", 0, 10'000,
                "Sessions alive at once on this machine, but for a gang, which runs alone if it is "
                "larger. 0: one for each processor, and at least 2."),
      ZC_NUMBER(engine, jobs_at_once, "jobs", 1, 1'000'000,
                "Jobs accepted and not yet answered; one more is answered 503."),
      ZC_NUMBER(engine, gang_wait_seconds, "seconds", 1, 86'400,
                "How long a gang waits until all its sessions can start together; then its job is "
                "answered 503."),
      ZC_NUMBER(engine, workers, "threads", 1, 256,
                "Threads that read and write stored objects for jobs and verify programs."),
      ZC_NUMBER(engine, programs, "programs", 1, 100'000,
                "Verified programs that are kept in memory for the next job."),
      ZC_FLAG(engine, own_namespaces,
              "Each session gets namespaces that no other session shares, which costs a "
              "little time, and none starts where the host refuses them."),
      ZC_NUMBER(engine, spool_bytes, "bytes", 1 * kMiB, 1000 * kTiB,
                "Disk that connections, outputs and fetched inputs of all jobs may take at once."),
  };
}

std::vector<Option> NodeRows() {
  return {
      ZC_TEXT(nodes, list,
              "The nodes that run sessions for this proxy, address:port with commas between; the "
              "address is the one in the rings. Empty: sessions run on this machine."),
      ZC_TEXT(nodes, key_file,
              "File with the keys by which proxies and nodes know each other, the same on all of "
              "them; nobody else may read it."),
      ZC_NUMBER(nodes, attempts, "nodes", 1, 100,
                "On how many nodes a session is tried, one after the other, before its job fails."),
      ZC_NUMBER(nodes, silence_seconds, "seconds", 1, 3600,
                "How long proxy and node wait for each other's next sign of life, and how long a "
                "handshake may take. The same on all machines."),
      ZC_FLAG(nodes, fallback, "A session that no node takes runs on the machine of the proxy."),
      ZC_TEXT(node, listen,
              "Address and port on which zerocloud node serves the proxies. Port 0 takes a free "
              "one; the program prints which."),
      ZC_NUMBER(node, waiting, "sessions", 0, 100'000,
                "Sessions that may wait on a node until one of its slots is free; one more is sent "
                "to another node."),
  };
}

#undef ZC_NUMBER
#undef ZC_FLAG
#undef ZC_TEXT

std::vector<Option> LimitRows() {
  std::vector<Option> rows;
  for (const job::LimitDescription& limit : job::DescribeLimits()) {
    rows.push_back({"jobs", std::string(limit.name),
                    NumberKind{"", 1, limit.maximum,
                               [field = limit.field](Config& config) -> std::uint64_t& {
                                 return config.jobs.*field;
                               }},
                    limit.prose});
  }
  return rows;
}

Result<void> SetNumber(Config& config, const NumberKind& kind, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || value < kind.minimum || value > kind.maximum) {
    return Fail(ErrorCode::kInvalid, fmt::format("\"{}\" is not a whole number from {} to {}.",
                                                 text, kind.minimum, kind.maximum));
  }
  kind.in(config) = value;
  return {};
}

Result<void> SetFlag(Config& config, const FlagKind& kind, std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"true", "yes", "on", "1", "t", "y"};
  constexpr std::array<std::string_view, 6> kFalse = {"false", "no", "off", "0", "f", "n"};
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool is_true = std::ranges::find(kTrue, lower) != kTrue.end();
  if (!is_true && std::ranges::find(kFalse, lower) == kFalse.end()) {
    return Fail(ErrorCode::kInvalid, fmt::format("\"{}\" is neither true nor false.", text));
  }
  kind.in(config) = is_true;
  return {};
}

Result<void> SetText(Config& config, const TextKind& kind, std::string_view text) {
  if (!kind.choices.empty() && std::ranges::find(kind.choices, text) == kind.choices.end()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("\"{}\" is none of {}.", text, fmt::join(kind.choices, ", ")));
  }
  kind.in(config) = text;
  return {};
}

}  // namespace

std::span<const SectionDescription> Sections() { return kSections; }

const std::vector<Option>& Options() {
  static const std::vector<Option> kRows = [] {
    std::vector<Option> rows;
    for (const auto make : {ServiceRows, OperatorRows, StorageRows, NodeRows, LimitRows}) {
      for (Option& option : make()) rows.push_back(std::move(option));
    }
    return rows;
  }();
  return kRows;
}

const Option* FindOption(std::string_view section, std::string_view key) {
  const auto found = std::ranges::find_if(Options(), [&](const Option& option) {
    return option.section == section && option.key == key;
  });
  return found == Options().end() ? nullptr : &*found;
}

std::string ValueIn(const Config& config, const Option& option) {
  Config copy = config;  // the table's accessors take a mutable one
  if (const auto* number = std::get_if<NumberKind>(&option.kind)) {
    return std::to_string(number->in(copy));
  }
  if (const auto* flag = std::get_if<FlagKind>(&option.kind)) {
    return flag->in(copy) ? "true" : "false";
  }
  return std::get<TextKind>(option.kind).in(copy);
}

std::string BoundsOf(const Option& option) {
  if (const auto* number = std::get_if<NumberKind>(&option.kind)) {
    return fmt::format("{} to {}{}{}", number->minimum, number->maximum,
                       number->unit.empty() ? "" : " ", number->unit);
  }
  if (std::holds_alternative<FlagKind>(option.kind)) return "true or false";
  const TextKind& text = std::get<TextKind>(option.kind);
  return text.choices.empty() ? "text" : fmt::format("{}", fmt::join(text.choices, ", "));
}

Result<void> SetValue(Config& config, const Option& option, std::string_view text) {
  if (const auto* number = std::get_if<NumberKind>(&option.kind)) {
    return SetNumber(config, *number, text);
  }
  if (const auto* flag = std::get_if<FlagKind>(&option.kind)) return SetFlag(config, *flag, text);
  return SetText(config, std::get<TextKind>(option.kind), text);
}

}  // namespace zerocloud::config
