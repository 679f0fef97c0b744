// Tells systemd (Type=notify) how the service is, if that is who started it: $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace zerocloud::tools {

// "READY=1", "STOPPING=1", ... Nothing happens where nobody listens.
void Notify(std::string_view state);

}  // namespace zerocloud::tools
