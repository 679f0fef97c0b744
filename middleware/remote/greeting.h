// What a proxy says first on a connection, and what the node tells about itself.
#pragma once

#include <chrono>

#include "channels/base/result.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// Blocks for at most `silence`. Errors are sentences about "it".
Result<Hello> GreetNode(peer::SecureConnection& connection, std::chrono::milliseconds silence);

}  // namespace zerocloud::remote
