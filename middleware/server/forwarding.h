// Forwarding: one request passed to the upstream and its answer passed back, both streaming, with a
// piece of bounded size in memory. Head fields keep their bytes and order; those that concern only
// one hop (RFC 9110, 7.6.1) are replaced by this server's own. 100 Continue travels end to end.
// Internal to the server folder.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/server/request.h"
#include "middleware/server/upstream.h"

namespace zerocloud::server {

class Forwarding {
 public:
  // What is referred to must outlive this; all of it belongs to one connection.
  Forwarding(Stream& client, beast::flat_buffer& client_buffer, Request& request,
             const Limits& limits, Upstream& upstream);

  enum class Outcome : std::uint8_t {
    kAnswered,  // and the client's connection can go on, if it wants to
    kClose,     // answered, but this connection cannot be used any more
    kBroken,    // the client is gone, or must be told by a broken connection
    kFailed,    // nothing was sent to the client: request.response says why
  };
  // `keep_alive`: whether the connection may go on as far as the client and the server care.
  net::awaitable<Outcome> Run(bool keep_alive);

  // On the connection's strand: makes Run() end soon, as if both sides had gone.
  void Cancel();

 private:
  using ResponseParser = beast::http::response_parser<beast::http::buffer_body>;
  enum class HeadWait : std::uint8_t { kHead, kClientGone, kTimeout, kUpstreamGone, kNonsense };

  [[nodiscard]] std::string RequestText() const;
  [[nodiscard]] std::string ResponseText(bool keep_alive, bool is_chunked) const;
  Outcome FailWith(int status, std::string_view sentence);
  Outcome FailFor(HeadWait why);
  // Connects (or reuses), sends the head. False: request_.response says why not.
  net::awaitable<bool> SendHead(bool may_reuse);
  net::awaitable<HeadWait> ReadHead();
  // Reads the next head while the request body goes up. Sets is_uploaded_.
  net::awaitable<HeadWait> ReadHeadWhileUploading();
  // Ends when the client fails or, after the upload, when the upstream took too long to answer.
  net::awaitable<HeadWait> Upload();
  net::awaitable<bool> WriteUp(std::span<const net::const_buffer> pieces);
  net::awaitable<bool> WriteDown(std::span<const net::const_buffer> pieces);
  net::awaitable<Outcome> PassBack(bool keep_alive);
  net::awaitable<bool> PassBodyBack(std::string head, bool is_chunked);

  Stream& client_;
  beast::flat_buffer& client_buffer_;
  Request& request_;
  const Limits& limits_;
  Upstream& upstream_;

  std::unique_ptr<Stream> peer_;
  beast::flat_buffer peer_buffer_;
  std::unique_ptr<ResponseParser> parser_;  // of the response head read last
  bool is_reused_ = false;
  bool is_uploaded_ = false;
  bool is_cancelled_ = false;
};

}  // namespace zerocloud::server
