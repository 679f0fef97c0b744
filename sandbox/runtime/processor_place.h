// On which processor a session begins: on that of whoever asks for it, for waking another one takes
// longer than a short session runs; but where the fewest sessions of this process are, for those
// that run at once would otherwise take turns on one processor until the kernel notices, and short
// ones have ended by then. Later the kernel may move them as it likes.
#pragma once

#include <span>

namespace zerocloud::runtime {

// One living session's place. Thread-safe but for the object itself.
class ProcessorPlace {
 public:
  // One of `processors`, which is not empty: `here`, if it is among them and none has fewer.
  static ProcessorPlace Take(int here, std::span<const int> processors);

  ProcessorPlace() = default;
  ProcessorPlace(ProcessorPlace&& other) noexcept;
  ProcessorPlace& operator=(ProcessorPlace&& other) noexcept;
  ProcessorPlace(const ProcessorPlace&) = delete;
  ProcessorPlace& operator=(const ProcessorPlace&) = delete;
  ~ProcessorPlace();  // gives it back

  [[nodiscard]] int processor() const { return processor_; }  // -1: none

 private:
  explicit ProcessorPlace(int processor) : processor_(processor) {}

  int processor_ = -1;
};

}  // namespace zerocloud::runtime
