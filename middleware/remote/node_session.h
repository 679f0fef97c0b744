// One session on a node, from the offer to the report. Private to this folder.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "middleware/node/image_cache.h"
#include "middleware/node/spool.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/conversation.h"
#include "middleware/remote/holds.h"
#include "middleware/remote/node_server.h"
#include "middleware/remote/slot_gate.h"
#include "middleware/remote/streams.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// What the sessions of a node share. Thread-safe members only.
struct NodeParts {
  const NodeOptions& options;
  store::ObjectStore& store;
  node::Runner& runner;
  node::ImageCache& images;
  std::shared_ptr<node::Spool> spool;
  std::atomic<std::uint64_t>& spooled;  // bytes of all sessions
  SlotGate& slots;
  Holds& holds;
  Streams& streams;
  peer::KeyFile& keys;
};

// Runs what is offered by that proxy; returns when the connection is free for the next. An error is
// the connection's: it broke, fell silent, or the other side does not keep to the protocol.
Result<void> ServeSession(NodeParts& parts, peer::SecureConnection& connection,
                          const std::string& proxy, Offer offer);

}  // namespace zerocloud::remote
