// What a node is asked about the bytes that it holds, between sessions. Private to this folder.
#pragma once

#include <string>

#include "middleware/peer/secure_connection.h"
#include "middleware/remote/node_session.h"

namespace zerocloud::remote {

bool IsHoldOrder(peer::FrameKind kind);

// Does it, and returns when the connection is free for the next. An error is the connection's.
Result<void> ServeHoldOrder(NodeParts& parts, peer::SecureConnection& connection,
                            const std::string& proxy, const peer::Frame& frame);

}  // namespace zerocloud::remote
