// What a proxy says first on a connection, and what the node tells about itself.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// In the name of `proxy`, or of none. Blocks for at most `silence`. Errors are sentences about
// "it".
Result<Hello> GreetNode(peer::SecureConnection& connection, const std::string& proxy,
                        std::chrono::milliseconds silence);

// Connects to "host:port" and greets.
Result<std::unique_ptr<peer::SecureConnection>> ConnectToNode(
    const std::string& address, peer::KeyFile& keys, const std::string& proxy,
    const peer::ConnectionLimits& patience);

}  // namespace zerocloud::remote
