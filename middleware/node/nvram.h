// The text of /dev/nvram: how a session's arguments and environment reach its guest. Format of
// ZeroVM: [args] with one line, [env] with one record per variable; \xHH for a byte that would be
// read as syntax.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "middleware/plan/plan.h"
#include "middleware/store/object_store.h"

namespace zerocloud::node {

// The input that a session is about: what its wildcard matched, else stdin, else input.
struct LocalObject {
  const plan::Binding* binding = nullptr;
  store::ObjectInfo info;
};

// kLimitExceeded names nvram_bytes.
Result<std::string> WriteNvram(const plan::Plan& plan, const plan::Session& session,
                               const std::optional<LocalObject>& local, std::uint64_t limit);

// `text` with every byte escaped that nvram reads as syntax.
std::string EscapeNvram(std::string_view text);

}  // namespace zerocloud::node
