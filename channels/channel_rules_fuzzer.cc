// Any sequence of calls with any arguments on any channel: counters stay within limits, transfers
// within what was asked for, sizes within what the limits allow.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "channels/channel_rules.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::channels;  // NOLINT(google-build-using-namespace)
  FuzzedDataProvider input(data, size);
  const auto number = [&input] { return input.ConsumeIntegral<std::int64_t>(); };
  const auto type = static_cast<AccessType>(input.ConsumeIntegralInRange(0, 3));
  const ChannelLimits limits{number(), number(), number(), number()};
  ChannelState state = StartChannel(type, limits, number(), input.ConsumeBool());
  const std::int64_t start_size = state.size;
  while (input.remaining_bytes() > 0) {
    const bool is_read = input.ConsumeBool();
    const std::int64_t call_size = number();
    const std::int64_t offset = number();
    const Decision decision =
        is_read ? DecideRead(state, call_size, offset) : DecideWrite(state, call_size, offset);
    if (decision.step == Step::kDone) {
      Require(decision.result <= 0);
      continue;
    }
    if (decision.step == Step::kTransfer) {
      Require(decision.bytes > 0 && decision.bytes <= call_size);
      Require(decision.offset >= 0 && decision.offset <= INT64_MAX - decision.bytes);
    }
    const std::int64_t moved = number();
    const std::int64_t result =
        is_read ? CompleteRead(state, decision, moved) : CompleteWrite(state, decision, moved);
    Require(result <= decision.bytes);
    Require(state.gets <= state.limits.gets && state.get_bytes <= state.limits.get_size);
    Require(state.puts <= state.limits.puts && state.put_bytes <= state.limits.put_size);
    Require(state.gets >= 0 && state.get_bytes >= 0 && state.puts >= 0 && state.put_bytes >= 0);
    Require(state.size >= start_size && state.size <= state.max_size);
  }
  return 0;
}
