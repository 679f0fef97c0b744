// HttpClient: HTTP requests that jobs make to the upstream, over libcurl. One thread owns the multi
// handle and moves all transfers; connections are reused. Callers block until theirs is done, so
// they are worker threads. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "middleware/http/message.h"

namespace zerocloud::upstream {

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::seconds stall_timeout{60};  // without a byte in either direction
  std::size_t requests_at_once = 16;
  // "http://host:port" of endpoints that are equivalent, for requests whose url is only a path. One
  // that cannot be reached, or not in time, is followed by the next.
  std::vector<std::string> origins = {};
  std::string tls_authorities = {};  // PEM file; empty: those of the system
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  http::Headers headers;
  // The body: bytes [0, upload_size) of a file that stays the caller's. -1: none.
  int upload_file = -1;
  std::uint64_t upload_size = 0;
  // Told the fields of a 2xx answer before its body, on the client's thread. An error ends the
  // transfer and is what Send() returns. Null: nobody asks.
  std::function<Result<void>(const http::Headers&)> on_head = {};
  // Takes the bytes of a 2xx body, in order, on the client's thread. An error ends the transfer and
  // is what Send() returns. Null: the body is thrown away.
  std::function<Result<void>(std::span<const std::byte>)> on_body;
};

// An `on_body` that keeps all of it in `text`, which outlives the request, unless it is longer than
// `most` bytes: then the transfer ends with `too_long`.
std::function<Result<void>(std::span<const std::byte>)> KeepBody(std::string& text,
                                                                 std::size_t most, Error too_long);

struct ClientReply {
  int status = 0;
  http::Headers headers;
};

class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> Start(ClientOptions options);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();  // REQUIRES: no Send() is under way

  // Other options for requests from now on, but for requests_at_once, which stays.
  void Change(ClientOptions options);

  // Any status is a reply. kUnavailable: no connection, or it broke; kTimeout; kInternal.
  Result<ClientReply> Send(const ClientRequest& request);

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zerocloud::upstream
