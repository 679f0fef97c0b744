#include "middleware/remote/hold_orders.h"

#include <fmt/format.h>

#include <future>
#include <system_error>

#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using peer::FrameKind;
using std::chrono::steady_clock;

Result<void> TellLost(peer::SecureConnection& connection, const std::string& hold) {
  const Failure failure{{ErrorCode::kNotFound, "it holds no such bytes"}, {}, {hold}};
  return connection.Send(FrameKind::kFailed, Encode(failure));
}

Result<store::ObjectInfo> PutHold(store::ObjectStore& store, const PutOrder& order,
                                  const Hold& hold) {
  Result<UniqueFd> file = hold.AsFile();
  if (!file) return Fail(file);
  return store.Put(order.caller, order.object, file->get(), hold.size());
}

// The object is stored whole, whatever becomes of the proxy meanwhile.
Result<void> ServePut(NodeParts& parts, peer::SecureConnection& connection,
                      const std::string& proxy, const PutOrder& order) {
  const std::shared_ptr<const Hold> hold = parts.holds.Find(proxy, order.hold);
  if (hold == nullptr) return TellLost(connection, order.hold);
  // A machine that stood still goes on with what it was asked long ago: what the proxy has given up
  // meanwhile is not stored, or it would replace what is there by now.
  const Result<std::optional<peer::Frame>> next = connection.TryReceive();
  if (!next) return Fail(next);
  if (const std::optional<peer::Frame>& frame = *next;
      frame && frame->kind != FrameKind::kHeartbeat) {
    return Fail(ErrorCode::kInvalid, fmt::format("it sent a {} frame before its put was answered",
                                                 ToString(frame->kind)));
  }
  std::future<Result<store::ObjectInfo>> storing;
  try {
    storing = std::async(std::launch::async, [&] { return PutHold(parts.store, order, *hold); });
  } catch (const std::system_error& error) {
    const Error why{ErrorCode::kUnavailable,
                    fmt::format("there is no thread to store what it holds: {}", error.what())};
    return connection.Send(FrameKind::kFailed, Encode(Failure{why, {}, {}}));
  }
  const std::chrono::milliseconds heartbeat = HeartbeatInterval(parts.options.patience);
  steady_clock::time_point last_said = steady_clock::now();
  Result<void> here;
  while (storing.wait_for(heartbeat / 8) != std::future_status::ready) {
    if (!here || steady_clock::now() - last_said < heartbeat) continue;
    last_said = steady_clock::now();
    here = connection.Send(FrameKind::kHeartbeat, {});
  }
  const Result<store::ObjectInfo> info = storing.get();
  if (!here) return here;
  if (!info) return connection.Send(FrameKind::kFailed, Encode(Failure{info.error(), {}, {}}));
  return connection.Send(FrameKind::kStored, Encode(Stored{*info}));
}

}  // namespace

bool IsHoldOrder(FrameKind kind) {
  return kind == FrameKind::kDrop || kind == FrameKind::kSpare || kind == FrameKind::kFetch ||
         kind == FrameKind::kPut;
}

Result<void> ServeHoldOrder(NodeParts& parts, peer::SecureConnection& connection,
                            const std::string& proxy, const peer::Frame& frame) {
  if (proxy.empty()) return Fail(ErrorCode::kInvalid, "it did not say for which proxy it asks");
  switch (frame.kind) {
    case FrameKind::kDrop:
    case FrameKind::kSpare: {
      const Result<HoldList> list = ParseHoldList(frame.payload);
      if (!list) return Fail(list);
      if (frame.kind == FrameKind::kDrop) {
        parts.holds.Drop(proxy, list->holds);
      } else {
        parts.holds.Spare(proxy, list->holds);
      }
      return {};
    }
    case FrameKind::kFetch: {
      const Result<FetchOrder> order = ParseFetchOrder(frame.payload);
      if (!order) return Fail(order);
      const std::shared_ptr<const Hold> hold = parts.holds.Find(proxy, order->hold);
      return hold == nullptr ? TellLost(connection, order->hold) : SendHold(connection, *hold);
    }
    default: {
      const Result<PutOrder> order = ParsePutOrder(frame.payload);
      if (!order) return Fail(order);
      return ServePut(parts, connection, proxy, *order);
    }
  }
}

}  // namespace zerocloud::remote
