#include "middleware/config/options.h"

namespace zerocloud::config {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kTiB = kMiB * kMiB;
constexpr std::uint64_t kDay = 86'400;

// A row of one section: ZC_NUMBER(server, threads, "threads", 1, 256, "why").
#define ZC_NUMBER(section, name, unit, minimum, maximum, prose)                     \
  NumberOption {                                                                    \
    "/" #section "/" #name, unit, minimum, maximum,                                 \
        [](Config& config) -> std::uint64_t& { return config.section.name; }, prose \
  }

std::vector<NumberOption> MakeNumbers() {
  std::vector<NumberOption> rows = {
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
      ZC_NUMBER(server, proxy_protocol, "", 0, 1,
                "1: every connection must begin with a header of the PROXY protocol, version 1 or "
                "2, which says whose it is. Only for a port that nobody but a load balancer can "
                "reach."),
      ZC_NUMBER(storage, object_bytes, "bytes", 1, kTiB,
                "Largest object of the embedded store; Swift's own limit is 5 GiB."),
      ZC_NUMBER(storage, durable, "", 0, 1,
                "1: what is stored is synced before the answer and survives a power failure. 0: it "
                "survives the end of the process at any moment, but not of the machine."),
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
      ZC_NUMBER(local, listing_seconds, "seconds", 0, 3600,
                "How long a listing that the caller got is taken as the right to read what it "
                "names on this host; then Swift is asked by a HEAD for each object, and with 0 "
                "always. Swift itself keeps a container's access lists for 60 seconds."),
      ZC_NUMBER(engine, sessions_at_once, "sessions", 0, 10'000,
                "Sessions alive at once on this machine, but for a gang, which runs alone if it is "
                "larger. 0: one for each processor, and at least 2."),
      ZC_NUMBER(engine, jobs_at_once, "jobs", 1, 1'000'000,
                "Jobs accepted and not yet answered; one more is answered 503."),
      ZC_NUMBER(engine, workers, "threads", 1, 256,
                "Threads that read and write stored objects for jobs and verify programs."),
      ZC_NUMBER(engine, programs, "programs", 1, 100'000,
                "Verified programs that are kept in memory for the next job."),
      ZC_NUMBER(engine, own_namespaces, "", 0, 1,
                "1: each session gets namespaces that no other session shares, which costs a "
                "little time, and none starts where the host refuses them."),
      ZC_NUMBER(engine, spool_bytes, "bytes", 1 * kMiB, 1000 * kTiB,
                "Disk that connections and outputs of all jobs may take until the jobs end."),
  };
  for (const job::LimitDescription& limit : job::DescribeLimits()) {
    rows.push_back(
        {"/jobs/" + std::string(limit.name), "", 1, limit.maximum,
         [field = limit.field](Config& config) -> std::uint64_t& { return config.jobs.*field; },
         limit.prose});
  }
  return rows;
}

#undef ZC_NUMBER

std::vector<TextOption> MakeTexts() {
  return {
      {"/listen", [](Config& config) -> std::string& { return config.listen; },
       "Address and port to serve, \"127.0.0.1:8080\" or \"[::1]:8080\". Port 0 takes a free one; "
       "the program prints which."},
      {"/store", [](Config& config) -> std::string& { return config.store; },
       "Directory of the embedded store. Exactly one of store and upstream is set."},
      {"/upstream", [](Config& config) -> std::string& { return config.upstream; },
       "URL of a Swift endpoint, \"http://host:port\" or \"https://host:port\", to stand in "
       "front of; or several of one cluster, with commas between, which are used in turn."},
      {"/server/tls_certificate",
       [](Config& config) -> std::string& { return config.server.tls_certificate; },
       "PEM file with the certificate to show, and its chain. With it only TLS is spoken. Read "
       "again on SIGHUP."},
      {"/server/tls_key", [](Config& config) -> std::string& { return config.server.tls_key; },
       "PEM file with the key of that certificate."},
      {"/proxy/tls_authorities",
       [](Config& config) -> std::string& { return config.proxy.tls_authorities; },
       "PEM file with the authorities that may vouch for an https upstream. Empty: those that the "
       "system trusts."},
      {"/local/devices", [](Config& config) -> std::string& { return config.local.devices; },
       "Directory of Swift's devices on this host, as the object server has it (\"/srv/node\"): "
       "plain objects that lie there are read in place. Empty: all objects are read by HTTP."},
      {"/local/swift_dir", [](Config& config) -> std::string& { return config.local.swift_dir; },
       "Directory with the swift.conf and the object rings of that Swift (\"/etc/swift\")."},
      {"/local/addresses", [](Config& config) -> std::string& { return config.local.addresses; },
       "As which addresses this host is in the rings, with commas between. Empty: those of its "
       "network interfaces."},
      {"/log", [](Config& config) -> std::string& { return config.log; },
       "What goes to standard error: \"requests\", a JSON line for each, or \"nothing\"."},
      {"/engine/spool_directory",
       [](Config& config) -> std::string& { return config.engine.spool_directory; },
       "Where connections and outputs of jobs wait, as files without a name. A real disk, not a "
       "memory file system, if jobs may be larger than memory."},
      {"/engine/control_groups",
       [](Config& config) -> std::string& { return config.engine.control_groups; },
       "A directory of the cgroup file system (version 2) that is delegated to this user, with the "
       "controllers memory and pids: each session gets a group in it. Empty: none."},
  };
}

}  // namespace

const std::vector<TextOption>& TextOptions() {
  static const std::vector<TextOption> kRows = MakeTexts();
  return kRows;
}

const std::vector<NumberOption>& NumberOptions() {
  static const std::vector<NumberOption> kRows = MakeNumbers();
  return kRows;
}

}  // namespace zerocloud::config
