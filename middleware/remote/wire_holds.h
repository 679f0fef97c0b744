// What is said about bytes that stay on a node after the session that wrote them has ended. Like
// wire.h: docs/node-protocol.md is the contract, and everything parsed was checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/object_store.h"

namespace zerocloud::remote {

// Ids of proxies and of holds: 128 bits that nobody can guess.
inline constexpr std::size_t kIdDigits = 32;
std::string NewId();

inline constexpr std::size_t kMostIds = 4096;  // in one list

struct HoldList {  // of kDrop and kSpare
  std::vector<std::string> holds;
};

struct FetchOrder {  // of kFetch
  std::string hold;
};

struct PutOrder {  // of kPut
  std::string hold;
  store::Caller caller;
  store::NewObject object;
};

struct Stored {            // of kStored
  store::ObjectInfo info;  // without metadata
};

std::string Encode(const HoldList& list);
std::string Encode(const FetchOrder& order);
std::string Encode(const PutOrder& order);
std::string Encode(const Stored& stored);

Result<HoldList> ParseHoldList(std::string_view json);
Result<FetchOrder> ParseFetchOrder(std::string_view json);
Result<PutOrder> ParsePutOrder(std::string_view json);
Result<Stored> ParseStored(std::string_view json);

}  // namespace zerocloud::remote
