#include "middleware/job/job_limits.h"

#include <fmt/format.h>

#include <array>

namespace zerocloud::job {
namespace {

constexpr auto kDescriptions = std::to_array<LimitDescription>({
    {"document_bytes", &JobLimits::document_bytes,
     "Bytes of the job document; it is held in memory while it is read."},
    {"document_depth", &JobLimits::document_depth,
     "Nesting of the job document; the language itself needs five levels."},
    {"groups", &JobLimits::groups, "Groups in one job."},
    {"sessions", &JobLimits::sessions,
     "Sessions of one job after wildcards and counts are expanded."},
    {"gang_sessions", &JobLimits::gang_sessions,
     "Sessions that must be alive at once because their connections form a cycle."},
    {"connections", &JobLimits::connections,
     "Connections between sessions of one job; groups are connected all to all."},
    {"channels_per_session", &JobLimits::channels_per_session,
     "Channels of one session; each is an open file of its process."},
    {"name_bytes", &JobLimits::name_bytes, "Bytes of a group's name."},
    {"url_bytes", &JobLimits::url_bytes, "Bytes of a swift:// URL in the job document."},
    {"wildcards", &JobLimits::wildcards,
     "Stars in one path; for each object that matches, what each stands for is kept."},
    {"args_bytes", &JobLimits::args_bytes, "Bytes of exec.args."},
    {"env_entries", &JobLimits::env_entries, "Variables in exec.env."},
    {"nvram_bytes", &JobLimits::nvram_bytes,
     "Bytes of /dev/nvram, which carries arguments and environment to the guest; guests read no "
     "more "
     "than the default.",
     JobLimits{}.nvram_bytes},
    {"metadata_entries", &JobLimits::metadata_entries, "Entries of a device's meta, as in Swift."},
    {"metadata_bytes", &JobLimits::metadata_bytes,
     "Bytes of all names and values of a device's meta, as in Swift."},
    {"listed_names", &JobLimits::listed_names,
     "Names that all listings of one job may return together while its wildcards are expanded."},
    {"program_bytes", &JobLimits::program_bytes, "Bytes of a program."},
    {"memory_bytes", &JobLimits::memory_bytes, "The most memory that a group may ask for."},
    {"default_memory_bytes", &JobLimits::default_memory_bytes,
     "Memory of a session whose group asks for none: stack, program and heap."},
    {"timeout_seconds", &JobLimits::timeout_seconds,
     "The longest wall-clock time that a group may ask for.", kMostSessionSeconds},
    {"default_timeout_seconds", &JobLimits::default_timeout_seconds,
     "Wall-clock time of a session whose group asks for none.", kMostSessionSeconds},
    {"cpu_seconds", &JobLimits::cpu_seconds,
     "Processor time of a session, user and system together, apart from its wall-clock time.",
     kMostSessionSeconds},
    {"resident_bytes", &JobLimits::resident_bytes,
     "Memory of a session that is resident at any time, apart from what its group asks for, which "
     "is address space."},
    {"channel_bytes", &JobLimits::channel_bytes,
     "Bytes read from, and bytes written to, one channel of a session."},
    {"channel_calls", &JobLimits::channel_calls,
     "Reads from, and writes to, one channel of a session."},
    {"response_bytes", &JobLimits::response_bytes,
     "Bytes of all outputs without a path: the response body."},
    {"job_spool_bytes", &JobLimits::job_spool_bytes,
     "Bytes of disk that outputs and connections of one job may take until it ends, and inputs "
     "that "
     "are fetched whole until their sessions end."},
    {"stderr_tail_bytes", &JobLimits::stderr_tail_bytes,
     "How much of the end of a session's stderr a report shows.", kMostStderrTailBytes},
});

}  // namespace

std::span<const LimitDescription> DescribeLimits() { return kDescriptions; }

Result<void> SetLimit(JobLimits& limits, std::string_view name, std::uint64_t value) {
  for (const LimitDescription& description : kDescriptions) {
    if (description.name != name) continue;
    if (value == 0) {
      return Fail(ErrorCode::kInvalid, fmt::format("the limit {} must be at least 1", name));
    }
    limits.*description.field = value;
    return {};
  }
  return Fail(ErrorCode::kInvalid, fmt::format("there is no job limit \"{}\"", name));
}

std::string LimitsToJson(const JobLimits& limits) {
  std::string json = "{";
  for (const LimitDescription& description : kDescriptions) {
    if (json.size() > 1) json += ", ";
    json += fmt::format("\"{}\": {}", description.name, limits.*description.field);
  }
  return json + "}";
}

std::unexpected<Error> OverLimit(std::string_view subject, std::string_view name,
                                 std::uint64_t limit, std::uint64_t actual) {
  return Fail(ErrorCode::kLimitExceeded,
              fmt::format("{} {}; the limit {} is {}", subject, actual, name, limit));
}

}  // namespace zerocloud::job
