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

// The input that a session is about (plan::Session::about).
struct LocalObject {
  std::string alias;  // "/dev/stdin"
  store::ObjectPath path;
  store::ObjectInfo info;
};

// All of it but for the lines about an input, if the session has one: these are then to follow.
std::string WriteNvram(const plan::Plan& plan, const plan::Session& session, bool has_local);
// Those lines.
std::string LocalNvram(const LocalObject& local);

// `text` with every byte escaped that nvram reads as syntax.
std::string EscapeNvram(std::string_view text);

}  // namespace zerocloud::node
