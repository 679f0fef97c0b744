// Request: one request under way on a connection. Internal to the server folder.
#pragma once

#include <chrono>
#include <memory>

#include "middleware/http/message.h"
#include "middleware/server/asio.h"
#include "middleware/server/body_reader.h"
#include "middleware/server/server.h"

namespace zerocloud::server {

// The request under way and everything that ends with it.
struct Request {
  http::RequestHead head;
  std::unique_ptr<BodyReader> body;          // if has_body
  std::unique_ptr<http::Exchange> exchange;  // after the body: it goes first
  http::Response response;                   // its body may refer to the exchange
  RequestRecord record;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  bool is_head = false;
  bool is_http_10 = false;
  bool wants_keep_alive = false;
  bool said_keep_alive = false;
  bool expects_continue = false;
  bool has_body = false;
  bool has_asked_for_body = false;
};

}  // namespace zerocloud::server
