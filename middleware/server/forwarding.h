// Forwarding: one request passed to the upstream and its answer passed back, both streaming, with a
// piece of bounded size in memory. Head fields keep their bytes and order; those that concern only
// one hop (RFC 9110, 7.6.1) are replaced by this server's own. 100 Continue travels end to end. An
// answer that comes before the whole request body went up is passed back at once, and the rest of
// the body still goes up: Swift reads it and throws it away, and the connection lives on. Internal
// to the server folder.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/server/message_head.h"
#include "middleware/server/request.h"
#include "middleware/server/upstream.h"

namespace zerocloud::server {

class Forwarding {
 public:
  // What is referred to must outlive this; all of it belongs to one connection.
  Forwarding(Wire& client, beast::flat_buffer& client_buffer, Request& request,
             const Limits& limits, Upstream& upstream, const std::atomic<bool>& is_draining);

  enum class Outcome : std::uint8_t {
    kAnswered,  // and the client's connection can go on, if it wants to
    kClose,     // answered, but this connection cannot be used any more
    kBroken,    // the client is gone, or must be told by a broken connection
    kFailed,    // nothing was sent to the client: request.response says why
  };
  net::awaitable<Outcome> Run();

  // On the connection's strand: makes Run() end soon, as if both sides had gone.
  void Cancel();

 private:
  enum class HeadWait : std::uint8_t { kHead, kClientGone, kTimeout, kUpstreamGone, kNonsense };

  [[nodiscard]] std::string RequestText() const;
  [[nodiscard]] std::string ResponseText(bool keep_alive, bool is_chunked) const;
  Outcome FailWith(int status, std::string_view sentence);
  Outcome FailFor(HeadWait why);
  // Connects (or reuses), sends the head. False: request_.response says why not.
  net::awaitable<bool> SendHead(bool may_reuse);
  [[nodiscard]] bool CanTryAgain() const;
  // Both run at once and end together: the answer's side decides when.
  net::awaitable<Outcome> AnswerSide();
  net::awaitable<void> RequestSide();
  net::awaitable<HeadWait> ReadHead();
  // Passes the request body up. False: the client is gone.
  net::awaitable<bool> Upload();
  // Ends the exchange for that reason, unless it has ended.
  net::awaitable<void> GiveUp(HeadWait why);
  // Returns when the client has closed its end; what it sends ahead is kept.
  net::awaitable<void> WatchClient();
  // Until the upload is over, however it ends.
  net::awaitable<void> AwaitUpload();
  // Whether the client has sent all of its request, and whether the upstream has got it.
  [[nodiscard]] bool HasWholeRequest() const;
  [[nodiscard]] bool HasPassedRequest() const;
  // Gives the upstream's connection back, if it can be used again. `unexpected_bytes`: received
  // past the answer.
  void KeepIfQuiet(std::size_t unexpected_bytes);
  net::awaitable<bool> WriteUp(std::span<const net::const_buffer> pieces);
  net::awaitable<bool> WriteDown(std::span<const net::const_buffer> pieces);
  net::awaitable<Outcome> PassBack();
  net::awaitable<bool> PassBodyBack(std::string head, bool is_chunked);
  // Wakes whoever waits for `timer`, now or later.
  static void Wake(Timer& timer);

  Wire& client_;
  beast::flat_buffer& client_buffer_;
  Request& request_;
  const Limits& limits_;
  Upstream& upstream_;
  const std::atomic<bool>& is_draining_;

  Upstream::Lease peer_;
  beast::flat_buffer peer_buffer_;
  ResponseHeadParts answer_;  // the head read last
  std::unique_ptr<BodyReader> answer_body_;
  Timer upload_may_begin_;
  Timer upload_over_;
  bool is_reused_ = false;
  bool is_uploaded_ = false;
  bool must_try_again_ = false;
  bool is_over_ = false;                     // the answer's side has ended
  bool has_head_ = false;                    // of the final answer
  HeadWait given_up_for_ = HeadWait::kHead;  // kHead: not given up
  bool is_nonsense_ = false;                 // what it sent as the body
  bool is_cancelled_ = false;
};

}  // namespace zerocloud::server
