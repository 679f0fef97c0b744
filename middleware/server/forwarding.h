// Forwarding: one request passed to the upstream and its answer passed back, both streaming, with a
// piece of bounded size in memory. Head fields keep their bytes and order; those that concern only
// one hop (RFC 9110, 7.6.1) are replaced by this server's own. 100 Continue travels end to end. An
// answer that comes before the whole request body went up is passed back at once, and the rest of
// the body still goes up: Swift reads it and throws it away, and the connection lives on. Internal
// to the server folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/server/head_scanner.h"
#include "middleware/server/message_head.h"
#include "middleware/server/request.h"
#include "middleware/server/upstream.h"

namespace zerocloud::server {

class Forwarding {
 public:
  // What is referred to must outlive this; all of it belongs to one connection.
  // `thread`: the number of the connection's, as Upstream counts them.
  Forwarding(Wire& client, beast::flat_buffer& client_buffer, Request& request,
             const Limits& limits, Upstream& upstream, std::size_t thread,
             const std::atomic<bool>& is_draining);
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;
  ~Forwarding();

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
  // The bytes to send first: the head and, if it has come with it and is short, the body.
  void PrepareStart();
  // Sends that over an idle connection, if there is one that takes all of it at once.
  bool StartNow(bool may_reuse);
  // Connects, if need be, and sends what is left of it. False: request_.response says why not.
  net::awaitable<bool> SendStart(bool may_reuse);
  net::awaitable<bool> ConnectUp(bool may_reuse);
  [[nodiscard]] bool CanTryAgain() const;
  // Everything up to the end of the answer, while the upload goes on beside it.
  net::awaitable<Outcome> AnswerSide();
  // The answer's head, if it is all there; kNonsense: it will never be one. None: more must come.
  std::optional<HeadWait> TakeHead(HeadScanner& scanner);
  // What it means that the upstream's connection ended so. None: it did not.
  [[nodiscard]] std::optional<HeadWait> WhyNoHead(const boost::system::error_code& error) const;
  // What may be waited for until the upstream sends more of its head.
  [[nodiscard]] Wire::Limit HeadLimit() const;
  // Passes the rest of the request body up, beside the answer's side.
  void StartUpload();
  // Returns whether the client is still there.
  net::awaitable<bool> Upload();
  void UploadEnded(bool is_client_there);
  // Until the upload is over, however it ends.
  net::awaitable<void> AwaitUpload();
  // Ends it.
  net::awaitable<void> StopUpload();
  // Ends the exchange for that reason, unless it has ended.
  void GiveUp(HeadWait why);
  // Ends the exchange if the client closes its end; what it sends ahead is kept.
  void WatchClient();
  // Whether the client has sent all of its request, and whether the upstream has got it.
  [[nodiscard]] bool HasWholeRequest() const;
  [[nodiscard]] bool HasPassedRequest() const;
  // Gives the upstream's connection back, if it can be used again. `unexpected_bytes`: received
  // past the answer.
  void KeepIfQuiet(std::size_t unexpected_bytes);
  // False: that side takes no more.
  net::awaitable<bool> WriteUp(Wire::Pieces pieces);
  net::awaitable<bool> WriteDown(Wire::Pieces pieces);
  net::awaitable<Outcome> PassBack();
  net::awaitable<bool> PassBodyBack(std::string head, bool is_chunked);
  // Both pass the rest of a body of known length that is in nobody's memory yet; `piece` is what
  // came before it. None: it went up whole; else what Upload returns.
  net::awaitable<std::optional<bool>> SpliceUp(std::string_view piece);
  net::awaitable<bool> SpliceBack();

  Wire& client_;
  beast::flat_buffer& client_buffer_;
  Request& request_;
  const Limits& limits_;
  Upstream& upstream_;
  const std::size_t thread_;
  const std::atomic<bool>& is_draining_;

  Upstream::Lease peer_;
  beast::flat_buffer peer_buffer_;
  ResponseHeadParts answer_;  // the head read last
  std::unique_ptr<BodyReader> answer_body_;
  std::string start_;
  Wire::Pieces start_left_;           // what of it is not sent yet
  std::uint64_t start_body_ = 0;      // bytes of the body in it
  std::optional<Timer> upload_over_;  // while somebody waits for that
  bool is_uploading_ = false;
  bool is_uploaded_ = false;
  bool is_start_whole_ = false;  // what is sent first ends the body
  bool is_reused_ = false;
  bool must_try_again_ = false;
  bool is_over_ = false;                     // the answer's side has ended
  bool has_head_ = false;                    // of the final answer
  HeadWait given_up_for_ = HeadWait::kHead;  // kHead: not given up
  bool is_nonsense_ = false;                 // what it sent as the body
  bool is_cancelled_ = false;
};

}  // namespace zerocloud::server
