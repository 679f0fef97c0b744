// JobLimits: every number that bounds a job, with its default and the reason for it. Configuration
// sets them by name, /info shows them, and the answer that refuses a job names the one it hit.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::job {

// What nodes and their proxies can tell each other (middleware/remote/wire.cc), so that nothing may
// be configured which no node would take.
inline constexpr std::uint64_t kMostSessionSeconds = 7ULL * 86'400;
inline constexpr std::uint64_t kMostStderrTailBytes = 256ULL * 1024;

struct JobLimits {
  std::uint64_t document_bytes = 1024ULL * 1024;
  std::uint64_t document_depth = 16;
  std::uint64_t groups = 100;
  std::uint64_t sessions = 20'000;
  std::uint64_t gang_sessions = 64;
  std::uint64_t connections = 200'000;
  std::uint64_t channels_per_session = 10'900;
  std::uint64_t name_bytes = 64;
  std::uint64_t url_bytes = 4096;
  std::uint64_t wildcards = 64;
  std::uint64_t args_bytes = 4096;
  std::uint64_t env_entries = 64;
  std::uint64_t nvram_bytes = 10'240;
  std::uint64_t metadata_entries = 90;
  std::uint64_t metadata_bytes = 4096;
  std::uint64_t listed_names = 200'000;
  std::uint64_t program_bytes = 64ULL * 1024 * 1024;
  std::uint64_t memory_bytes = 1024ULL * 1024 * 1024;
  std::uint64_t default_memory_bytes = 256ULL * 1024 * 1024;
  std::uint64_t timeout_seconds = 3600;
  std::uint64_t default_timeout_seconds = 60;
  std::uint64_t cpu_seconds = 86'400;
  std::uint64_t resident_bytes = 4ULL * 1024 * 1024 * 1024;
  std::uint64_t channel_bytes = 5ULL * 1024 * 1024 * 1024;
  std::uint64_t channel_calls = 0x7fffffff;
  std::uint64_t response_bytes = 1024ULL * 1024 * 1024;
  std::uint64_t job_spool_bytes = 16ULL * 1024 * 1024 * 1024;
  std::uint64_t stderr_tail_bytes = 64ULL * 1024;
};

// One limit as people see it.
struct LimitDescription {
  std::string_view name;  // the key in configuration and /info
  std::uint64_t JobLimits::* field;
  std::string_view prose;                              // one sentence: what it bounds and why
  std::uint64_t maximum = std::uint64_t{1000} << 40U;  // the most that it may be set to
};

// All of them, in the order of the struct.
std::span<const LimitDescription> DescribeLimits();

// Sets one limit by its key. kInvalid for an unknown key, and for zero: no limit may be zero.
Result<void> SetLimit(JobLimits& limits, std::string_view name, std::uint64_t value);

// {"document_bytes": 1048576, ...}
std::string LimitsToJson(const JobLimits& limits);

// kLimitExceeded in the one form that all refusals share: `subject` has `actual`, the limit `name`
// is `limit`.
std::unexpected<Error> OverLimit(std::string_view subject, std::string_view name,
                                 std::uint64_t limit, std::uint64_t actual);

}  // namespace zerocloud::job
