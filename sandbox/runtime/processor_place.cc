#include "sandbox/runtime/processor_place.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace zerocloud::runtime {
namespace {

// Sessions of this process that are alive, by the processor where they began.
struct Sessions {
  std::mutex mutex;
  std::map<int, int> began;
};

// Never destroyed: sessions may outlive every static object.
Sessions& All() {
  static auto* const sessions = new Sessions;
  return *sessions;
}

}  // namespace

ProcessorPlace ProcessorPlace::Take(int here, std::span<const int> processors) {
  Sessions& all = All();
  const std::lock_guard lock(all.mutex);
  const int fewest = *std::ranges::min_element(processors, {}, [&](int processor) {
    return std::pair(all.began[processor], processor == here ? 0 : 1);
  });
  ++all.began[fewest];
  return ProcessorPlace(fewest);
}

ProcessorPlace::ProcessorPlace(ProcessorPlace&& other) noexcept
    : processor_(std::exchange(other.processor_, -1)) {}

ProcessorPlace& ProcessorPlace::operator=(ProcessorPlace&& other) noexcept {
  std::swap(processor_, other.processor_);
  return *this;
}

ProcessorPlace::~ProcessorPlace() {
  if (processor_ < 0) return;
  Sessions& all = All();
  const std::lock_guard lock(all.mutex);
  --all.began[processor_];
}

}  // namespace zerocloud::runtime
