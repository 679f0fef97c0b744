// Any bytes as a job document: a JobSpec or an Error that says something, never a crash.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/job/job_spec.h"

// The name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto job = zerocloud::job::ParseJob(text, {});
  if (!job && job.error().message.empty()) std::abort();
  if (job && job->groups.empty()) std::abort();
  (void)zerocloud::job::SplitArguments(text);
  return 0;
}
