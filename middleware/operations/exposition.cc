#include "middleware/operations/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace zerocloud::operations {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

constexpr auto kDescriptions = std::to_array<MetricDescription>({
    {"zerocloud_info", "gauge", "version", "Always 1."},
    {"zerocloud_start_time_seconds", "gauge", "", "When it started, Unix time."},
    {"zerocloud_requests_total", "counter", "type, method, status",
     "Requests that ended. type: account, container, object, job, other. Status 499: the client "
     "went away."},
    {"zerocloud_request_seconds", "histogram", "type",
     "From a request's head to the last byte of its answer."},
    {"zerocloud_received_bytes_total", "counter", "", "Bytes of request bodies."},
    {"zerocloud_sent_bytes_total", "counter", "", "Bytes of response bodies."},
    {"zerocloud_connections", "gauge", "", "Clients' connections that are open."},
    {"zerocloud_upstream_connections", "gauge", "endpoint, state",
     "Connections for plain requests to each upstream. state: idle, in_use."},
    {"zerocloud_upstream_left_out", "gauge", "endpoint",
     "1: it could not be reached a moment ago and gets no requests."},
    {"zerocloud_upstream_waiting", "gauge", "", "Requests that wait for a connection."},
    {"zerocloud_jobs_total", "counter", "status",
     "Jobs that ended, by the status of their answer; 499: cancelled."},
    {"zerocloud_job_seconds", "histogram", "", "From a job's acceptance to its end."},
    {"zerocloud_jobs", "gauge", "", "Jobs accepted and not yet answered."},
    {"zerocloud_sessions_total", "counter", "cause",
     "Sessions of jobs that ended, by how: exited, faulted, timed_out, killed, ..., or "
     "not_started."},
    {"zerocloud_session_seconds", "histogram", "", "Wall-clock time of a session."},
    {"zerocloud_input_sessions_total", "counter", "place",
     "Sessions that read stored objects. place: local, all of them from the stored files; remote."},
    {"zerocloud_sessions", "gauge", "", "Sessions that run."},
    {"zerocloud_session_slots", "gauge", "", "Sessions that may run at once."},
    {"zerocloud_sessions_waiting", "gauge", "", "Sessions of accepted jobs that have not started."},
    {"zerocloud_nodes", "gauge", "state",
     "Nodes of nodes.list. state: up, those that answer; down."},
    {"zerocloud_spool_bytes", "gauge", "", "Spool that jobs take now."},
    {"zerocloud_spool_limit_bytes", "gauge", "", "engine.spool_bytes."},
    {"zerocloud_node_sessions_total", "counter", "cause",
     "Sessions that ended on this node, by how, as above; killed: also those whose proxy was gone; "
     "not_started: there was no process for it."},
    {"zerocloud_node_session_seconds", "histogram", "", "Wall-clock time of a session."},
    {"zerocloud_node_read_bytes_total", "counter", "",
     "What sessions that ended have read of all channels."},
    {"zerocloud_node_written_bytes_total", "counter", "", "What they have written."},
    {"zerocloud_node_sessions", "gauge", "", "Sessions that run."},
    {"zerocloud_node_sessions_waiting", "gauge", "",
     "Sessions that wait for a slot, or whose inputs or outputs are on their way."},
    {"zerocloud_node_session_slots", "gauge", "", "Sessions that may run at once."},
    {"zerocloud_node_connections", "gauge", "", "Connections of proxies and of other nodes."},
    {"zerocloud_node_holds", "gauge", "",
     "Outputs of sessions that are kept for other sessions, or until they are stored."},
    {"zerocloud_node_spool_bytes", "gauge", "", "Spool that sessions and what is kept take now."},
    {"zerocloud_node_spool_limit_bytes", "gauge", "", "engine.spool_bytes."},
});

std::string Escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

std::span<const MetricDescription> DescribeMetrics() { return kDescriptions; }

std::string MetricsManual() {
  std::string text = "| metric | type | labels | what it is |\n|---|---|---|---|\n";
  for (const MetricDescription& metric : kDescriptions) {
    text += fmt::format("| `{}` | {} | {} | {} |\n", metric.name, metric.type, metric.labels,
                        metric.help);
  }
  return text;
}

void Histogram::Add(std::chrono::microseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto* const bucket = std::ranges::lower_bound(kBounds, seconds);
  counts_.at(static_cast<std::size_t>(bucket - kBounds.begin())).fetch_add(1, kRelaxed);
  microseconds_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, duration.count())),
                          kRelaxed);
}

bool Histogram::is_empty() const {
  return std::ranges::all_of(counts_, [](const auto& count) { return count.load(kRelaxed) == 0; });
}

void Histogram::AppendTo(std::string& text, std::string_view name, std::string_view labels) const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    sum += counts_.at(i).load(kRelaxed);
    const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds.at(i)) : "+Inf";
    text += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, labels.empty() ? "" : ",",
                        bound, sum);
  }
  const std::string braced = labels.empty() ? "" : fmt::format("{{{}}}", labels);
  text += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, braced,
                      static_cast<double>(microseconds_.load(kRelaxed)) / 1e6, name, braced, sum);
}

void AppendHead(std::string& text, std::string_view name) {
  const auto* const found = std::ranges::find(kDescriptions, name, &MetricDescription::name);
  text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, found->help, name, found->type);
}

void AppendStart(std::string& text, std::string_view version, std::time_t started) {
  AppendHead(text, "zerocloud_info");
  text += fmt::format("zerocloud_info{{version=\"{}\"}} 1\n", Escaped(version));
  AppendHead(text, "zerocloud_start_time_seconds");
  text += fmt::format("zerocloud_start_time_seconds {}\n", started);
}

void AppendSources(std::string& text, std::span<const Source> sources) {
  std::vector<Sample> samples;
  for (const Source& source : sources) source(samples);
  for (const MetricDescription& metric : kDescriptions) {
    bool is_first = true;
    for (const auto& [name, labels, value] : samples) {
      if (name != metric.name) continue;
      if (std::exchange(is_first, false)) AppendHead(text, name);
      text += labels.empty() ? fmt::format("{} {}\n", name, value)
                             : fmt::format("{}{{{}}} {}\n", name, labels, value);
    }
  }
}

}  // namespace zerocloud::operations
