// Timestamps as Swift has them: seconds since 1970 with five decimals. Within one store they are
// unique and only grow, whatever the machine's clock does.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace zerocloud::store {

// Ticks of 10 microseconds since 1970.
struct Timestamp {
  std::int64_t ticks = 0;

  [[nodiscard]] static Timestamp FromNanoseconds(std::int64_t ns) { return {ns / 10'000}; }
  [[nodiscard]] std::int64_t ToNanoseconds() const { return ticks * 10'000; }
  // "1700000000.12345": X-Timestamp.
  [[nodiscard]] std::string ToString() const;
  // "2023-11-14T22:13:20.123450": last_modified of JSON listings.
  [[nodiscard]] std::string ToIso() const;
  // What these two write, and nothing else.
  [[nodiscard]] static std::optional<Timestamp> Parse(std::string_view text);
  [[nodiscard]] static std::optional<Timestamp> ParseIso(std::string_view text);
  // Whole seconds, rounded up: Last-Modified, so that no change is ever dated before it happened.
  [[nodiscard]] std::int64_t CeilSeconds() const { return (ticks + 99'999) / 100'000; }
  [[nodiscard]] std::int64_t FloorSeconds() const { return ticks / 100'000; }

  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// Nanoseconds since 1970. Injected, so that tests choose the time.
using WallClock = std::function<std::int64_t()>;
[[nodiscard]] WallClock SystemWallClock();

// Hands out timestamps that strictly grow. Thread-safe.
class TimestampSource {
 public:
  explicit TimestampSource(WallClock clock) : clock_(std::move(clock)) {}

  [[nodiscard]] Timestamp Next();
  [[nodiscard]] Timestamp Now() const { return Timestamp::FromNanoseconds(clock_()); }
  // Everything handed out from now on is later than `seen`.
  void AdvancePast(Timestamp seen);

 private:
  WallClock clock_;
  std::mutex mutex_;
  Timestamp last_;
};

}  // namespace zerocloud::store
