#include "middleware/operations/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <tuple>

#include "middleware/http/reply.h"
#include "middleware/operations/statsd.h"

namespace zerocloud::operations {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

constexpr auto kDescriptions = std::to_array<MetricDescription>({
    {"zerocloud_info", "gauge", "version", "Always 1."},
    {"zerocloud_start_time_seconds", "gauge", "", "When the service started, Unix time."},
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
});

std::size_t MethodIndex(std::string_view method) {
  const auto* const found = std::ranges::find(Metrics::kMethods, method);
  return found == Metrics::kMethods.end()
             ? Metrics::kMethods.size() - 1
             : static_cast<std::size_t>(found - Metrics::kMethods.begin());
}

// What Swift's proxy-logging counts a path as: by its slashes.
std::size_t TypeIndex(const http::RequestHead& head) {
  constexpr std::size_t kJob = 3;
  constexpr std::size_t kOther = 4;
  if (head.headers.Has("X-Zerovm-Execute")) return kJob;
  std::string_view path = std::string_view(head.target).substr(0, head.target.find('?'));
  if (!path.starts_with("/v1/")) return kOther;
  while (path.ends_with('/')) path.remove_suffix(1);
  const auto slashes = static_cast<std::size_t>(std::ranges::count(path, '/'));
  return slashes < 2 ? kOther : std::min<std::size_t>(slashes, 4) - 2;
}

std::string Escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

void AppendHead(std::string& text, std::string_view name) {
  const auto* const found = std::ranges::find(kDescriptions, name, &MetricDescription::name);
  text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, found->help, name, found->type);
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

Metrics::Metrics(std::string version, Statsd* statsd)
    : version_(std::move(version)), statsd_(statsd), started_(std::time(nullptr)) {}

void Metrics::AddSource(std::function<void(std::vector<Sample>&)> source) {
  sources_.push_back(std::move(source));
}

void Metrics::Count(const server::RequestRecord& record) {
  const std::size_t type = TypeIndex(*record.head);
  const std::size_t method = MethodIndex(record.head->method);
  const auto status = static_cast<std::size_t>(std::clamp(record.status, 0, 599));
  requests_.at(type).at(method).at(status).fetch_add(1, kRelaxed);
  request_seconds_.at(type).Add(record.duration);
  bytes_in_.fetch_add(record.bytes_in, kRelaxed);
  bytes_out_.fetch_add(record.bytes_out, kRelaxed);
  if (statsd_ == nullptr || kTypes.at(type) == "other" || !statsd_->IsSampled()) return;
  const bool is_known = method + 1 < kMethods.size();
  const std::string name = fmt::format("{}.{}.{}", kTypes.at(type),
                                       is_known ? kMethods.at(method) : "BAD_METHOD", status);
  statsd_->Timing(name + ".timing", record.duration);
  statsd_->Count(name + ".xfer", record.bytes_in + record.bytes_out);
}

void Metrics::Count(const node::JobResult& result) {
  const int status = result.error ? http::StatusOf(result.error->code) : 200;
  jobs_.at(static_cast<std::size_t>(status)).fetch_add(1, kRelaxed);
  job_seconds_.Add(result.wall_time);
  if (statsd_ != nullptr && statsd_->IsSampled()) {
    statsd_->Timing(fmt::format("run.{}.timing", status), result.wall_time);
  }
  for (const node::SessionOutcome& session : result.sessions) {
    if (session.end == node::SessionEnd::kNotStarted) {
      sessions_not_started_.fetch_add(1, kRelaxed);
      continue;
    }
    const auto cause = static_cast<std::size_t>(session.report.cause);
    sessions_.at(std::min(cause, kCauses - 1)).fetch_add(1, kRelaxed);
    session_seconds_.Add(session.report.wall_time);
    if (session.has_objects) (session.is_local ? local_ : remote_).fetch_add(1, kRelaxed);
    if (statsd_ != nullptr && statsd_->IsSampled()) {
      statsd_->Timing(fmt::format("session.{}.timing", ToString(session.report.cause)),
                      session.report.wall_time);
    }
  }
}

void Metrics::AppendRequests(std::string& text) const {
  AppendHead(text, "zerocloud_requests_total");
  for (std::size_t type = 0; type < kTypes.size(); ++type) {
    for (std::size_t method = 0; method < kMethods.size(); ++method) {
      for (std::size_t status = 0; status < kStatuses; ++status) {
        const std::uint64_t count = requests_.at(type).at(method).at(status).load(kRelaxed);
        if (count == 0) continue;
        text +=
            fmt::format("zerocloud_requests_total{{type=\"{}\",method=\"{}\",status=\"{}\"}} {}\n",
                        kTypes.at(type), kMethods.at(method), status, count);
      }
    }
  }
  AppendHead(text, "zerocloud_request_seconds");
  for (std::size_t type = 0; type < kTypes.size(); ++type) {
    if (request_seconds_.at(type).is_empty()) continue;
    request_seconds_.at(type).AppendTo(text, "zerocloud_request_seconds",
                                       fmt::format("type=\"{}\"", kTypes.at(type)));
  }
  for (const auto& [name, counter] :
       {std::pair<std::string_view, const Counter*>("zerocloud_received_bytes_total", &bytes_in_),
        {"zerocloud_sent_bytes_total", &bytes_out_}}) {
    AppendHead(text, name);
    text += fmt::format("{} {}\n", name, counter->load(kRelaxed));
  }
}

void Metrics::AppendJobs(std::string& text) const {
  AppendHead(text, "zerocloud_jobs_total");
  for (std::size_t status = 0; status < kStatuses; ++status) {
    const std::uint64_t count = jobs_.at(status).load(kRelaxed);
    if (count == 0) continue;
    text += fmt::format("zerocloud_jobs_total{{status=\"{}\"}} {}\n", status, count);
  }
  AppendHead(text, "zerocloud_job_seconds");
  job_seconds_.AppendTo(text, "zerocloud_job_seconds", "");
  AppendHead(text, "zerocloud_sessions_total");
  for (std::size_t cause = 0; cause < kCauses; ++cause) {
    const std::uint64_t count = sessions_.at(cause).load(kRelaxed);
    if (count == 0) continue;
    text += fmt::format("zerocloud_sessions_total{{cause=\"{}\"}} {}\n",
                        ToString(static_cast<runtime::Cause>(cause)), count);
  }
  text += fmt::format("zerocloud_sessions_total{{cause=\"not_started\"}} {}\n",
                      sessions_not_started_.load(kRelaxed));
  AppendHead(text, "zerocloud_session_seconds");
  session_seconds_.AppendTo(text, "zerocloud_session_seconds", "");
  AppendHead(text, "zerocloud_input_sessions_total");
  text +=
      fmt::format("zerocloud_input_sessions_total{{place=\"local\"}} {}\n", local_.load(kRelaxed));
  text += fmt::format("zerocloud_input_sessions_total{{place=\"remote\"}} {}\n",
                      remote_.load(kRelaxed));
}

void Metrics::AppendSources(std::string& text) const {
  std::vector<Sample> samples;
  for (const auto& source : sources_) source(samples);
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

std::string Metrics::Text() const {
  std::string text;
  AppendHead(text, "zerocloud_info");
  text += fmt::format("zerocloud_info{{version=\"{}\"}} 1\n", Escaped(version_));
  AppendHead(text, "zerocloud_start_time_seconds");
  text += fmt::format("zerocloud_start_time_seconds {}\n", started_);
  AppendRequests(text);
  AppendJobs(text);
  AppendSources(text);
  return text;
}

}  // namespace zerocloud::operations
