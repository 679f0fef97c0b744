// HTTP messages as values, and the seam between the server (which owns sockets) and the handlers
// (which own meaning). Nothing here does network I/O, so a handler runs whole in a unit test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::http {

// Header fields in the order they came. Names compare without case. All of them lie in one piece of
// memory: what Get and iterators give is valid until the fields change.
class Headers {
 public:
  using Field = std::pair<std::string_view, std::string_view>;  // name and value

  // The first field of that name.
  [[nodiscard]] std::optional<std::string_view> Get(std::string_view name) const;
  [[nodiscard]] bool Has(std::string_view name) const { return Get(name).has_value(); }
  // Neither may be a part of these fields.
  void Add(std::string_view name, std::string_view value);
  // Room for so many fields with so many bytes of names and values in all.
  void Reserve(std::size_t count, std::size_t bytes) {
    places_.reserve(count);
    text_.reserve(bytes);
  }
  // Replaces every field of that name by one.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  class Iterator;
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;
  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  // In text_, the value behind the name.
  struct Place {
    std::size_t start = 0;
    std::size_t name_size = 0;
    std::size_t value_size = 0;
  };
  [[nodiscard]] Field At(const Place& place) const {
    const std::string_view text = std::string_view(text_).substr(place.start);
    return {text.substr(0, place.name_size), text.substr(place.name_size, place.value_size)};
  }

  std::string text_;
  std::vector<Place> places_;
};

class Headers::Iterator {
 public:
  using value_type = Field;
  using difference_type = std::ptrdiff_t;
  Iterator() = default;
  Iterator(const Headers* headers, std::size_t index) : headers_(headers), index_(index) {}
  Field operator*() const { return headers_->At(headers_->places_[index_]); }
  Iterator& operator++() {
    ++index_;
    return *this;
  }
  Iterator operator++(int) { return {headers_, index_++}; }
  bool operator==(const Iterator&) const = default;

 private:
  const Headers* headers_ = nullptr;
  std::size_t index_ = 0;
};

inline Headers::Iterator Headers::begin() const { return {this, 0}; }
inline Headers::Iterator Headers::end() const { return {this, places_.size()}; }

// A request before its body. `target` is what stood on the request line, still percent-encoded.
struct RequestHead {
  std::string method;
  std::string target;
  Headers headers;
  std::optional<std::uint64_t> content_length;  // none: chunked, or no body at all
  bool is_chunked = false;
  std::string trans_id;  // what X-Trans-Id of the answer will be
  std::string remote_address;
};

// Bytes of a response, pulled by the server. Read() may block on local files, never on a peer. One
// thread at a time; destroyed when the body was sent or the client is gone.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // At most buffer.size() bytes; 0 is the end. An error after the head was sent closes the
  // connection.
  virtual Result<std::size_t> Read(std::span<std::byte> buffer) = 0;
};

struct Response {
  int status = 200;
  Headers headers;   // without Content-Length, Transfer-Encoding, Date, Connection: the server's
  std::string text;  // the body, if `body` is null
  std::unique_ptr<BodySource> body;        // else pulled from here
  std::optional<std::uint64_t> body_size;  // of `body`; none: sent chunked
  // For HEAD and 304, where no body is sent: what Content-Length says. None: text.size()/body_size.
  std::optional<std::uint64_t> declared_length;
};

// One request under way. The server calls Write() for each piece of the request body in order, then
// Finish() once. `done` runs exactly once, on any thread, unless the exchange is destroyed before:
// that means the client has gone, cancels the work, and `done` is not called after the destructor
// returned. Once Write() has returned an error the server stops reading the body, calls Finish() at
// once, sends what that answers (the exchange knows the true status: 413, 507, ...) and closes.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual Result<void> Write(std::span<const std::byte> chunk) = 0;
  virtual void Finish(std::function<void(Response)> done) = 0;
};

// The decision to leave a request to the upstream endpoint: the server sends it there as it came
// and passes the answer back as it comes, bodies streaming both ways. 502 if there is no upstream.
struct Forward {};

// Decides on a request by its head: an answer at once (no 100 Continue is sent, the body is not
// read), an exchange that wants the body, or to forward it. Thread-safe; outlives all its
// exchanges.
class Handler {
 public:
  virtual ~Handler() = default;
  using Begun = std::variant<Response, std::unique_ptr<Exchange>, Forward>;
  virtual Begun Begin(const RequestHead& head) = 0;
};

}  // namespace zerocloud::http
