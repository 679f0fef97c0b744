// What is said about streams between sessions that run at the same time. Like wire.h:
// docs/node-protocol.md is the contract, and everything parsed was checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::remote {

struct StreamOrder {  // of kStream
  std::string stream;
};

struct Credit {              // of kCredit
  std::uint64_t bytes = 0;   // that may be sent besides those granted before
  bool is_complete = false;  // all has come, up to the digest
};

// Bytes of a stream that may be under way.
inline constexpr std::uint64_t kMostCredit = std::uint64_t{1} << 20U;

std::string Encode(const StreamOrder& order);
std::string Encode(const Credit& credit);

Result<StreamOrder> ParseStreamOrder(std::string_view json);
Result<Credit> ParseCredit(std::string_view json);

}  // namespace zerocloud::remote
