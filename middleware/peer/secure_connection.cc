#include "middleware/peer/secure_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace zerocloud::peer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kCipher = "TLS_AES_128_GCM_SHA256";
constexpr std::array<unsigned char, 2> kCipherId = {0x13, 0x01};  // the same

// What the callbacks of one handshake need and leave.
struct Proof {
  std::shared_ptr<const std::vector<Key>> keys;
  Seconds now = 0;
  const Key* key = nullptr;  // that is used
  std::string refused;       // why an offered key was not taken
};

SSL_SESSION* SessionOf(SSL* ssl, const Key& key) {
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipherId.data());
  SSL_SESSION* session = SSL_SESSION_new();
  const bool is_made = cipher != nullptr && session != nullptr &&
                       SSL_SESSION_set1_master_key(session, key.secret.data(), kKeyBytes) == 1 &&
                       SSL_SESSION_set_cipher(session, cipher) == 1 &&
                       SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1;
  if (is_made) return session;
  SSL_SESSION_free(session);
  return nullptr;
}

// For messages: a stranger's bytes.
std::string Printable(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, kMaxKeyIdBytes)) {
    shown.push_back(c > 0x20 && c < 0x7f && c != '"' ? c : '?');
  }
  return shown;
}

int UseKey(SSL* ssl, const EVP_MD* md, const unsigned char** id, std::size_t* id_size,
           SSL_SESSION** session) {
  const auto* proof = static_cast<const Proof*>(SSL_get_app_data(ssl));
  // A second call asks for a key of that hash; ours is the only one there is.
  if (md != nullptr && EVP_MD_get_type(md) != NID_sha256) return 0;
  *session = SessionOf(ssl, *proof->key);
  *id = reinterpret_cast<const unsigned char*>(proof->key->id.data());
  *id_size = proof->key->id.size();
  return *session != nullptr ? 1 : 0;
}

int FindOffered(SSL* ssl, const unsigned char* id, std::size_t id_size, SSL_SESSION** session) {
  auto* proof = static_cast<Proof*>(SSL_get_app_data(ssl));
  const std::string_view name(reinterpret_cast<const char*>(id), id_size);
  *session = nullptr;
  const Key* key = FindKey(*proof->keys, name);
  const std::string why =
      key == nullptr ? "is not in this machine's key file" : key->WhyNot(proof->now);
  if (!why.empty()) {
    proof->refused = fmt::format("key \"{}\" {}", Printable(name), why);
    return 1;  // as if it had offered none, so nobody is told which ids there are
  }
  proof->key = key;
  *session = SessionOf(ssl, *key);
  return *session != nullptr ? 1 : 0;
}

SSL_CTX* NewContext(bool is_client) {
  SSL_CTX* context = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
  if (context == nullptr) return nullptr;
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, kCipher);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (is_client) {
    // A certificate, should one come, is worth nothing: no authority is known.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_psk_use_session_callback(context, UseKey);
  } else {
    SSL_CTX_set_psk_find_session_callback(context, FindOffered);
  }
  return context;
}

// They live as long as the process.
SSL_CTX* Context(bool is_client) {
  static SSL_CTX* const kClient = NewContext(true);
  static SSL_CTX* const kServer = NewContext(false);
  return is_client ? kClient : kServer;
}

std::string TakeComplaint() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = error != 0 ? ERR_reason_error_string(error) : nullptr;
  return reason != nullptr ? reason : "the connection was cut";
}

int PollTimeout(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
}

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

Result<socklen_t> FillAddress(const std::string& host, std::uint16_t port, Address& address) {
  std::memset(&address, 0, sizeof address);
  if (::inet_pton(AF_INET, host.c_str(), &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    return socklen_t{sizeof address.v4};
  }
  if (::inet_pton(AF_INET6, host.c_str(), &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    return socklen_t{sizeof address.v6};
  }
  return Fail(ErrorCode::kInvalid, "\"" + host + "\" is not a numeric address");
}

void SetDelays(int socket) {
  const int one = 1;  // what cannot be set costs time only
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

SecureConnection::~SecureConnection() {
  if (ssl_ == nullptr) return;
  SSL_set_app_data(ssl_.get(), nullptr);
  SSL_shutdown(ssl_.get());  // says goodbye if that does not wait
  ERR_clear_error();
}

void SecureConnection::Abort() { ::shutdown(socket_.get(), SHUT_RDWR); }

Result<void> SecureConnection::WaitFor(int ssl_error, Clock::time_point until) {
  pollfd waiting{socket_.get(), 0, 0};
  waiting.events = ssl_error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
  while (true) {
    const int ready = ::poll(&waiting, 1, PollTimeout(until));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return FailErrno("cannot wait for it");
    return Fail(ErrorCode::kTimeout,
                fmt::format("it has been silent for {} ms", limits_.silence.count()));
  }
}

Result<void> SecureConnection::Handshake(KeyFile& keys, bool is_client) {
  const Clock::time_point until = Clock::now() + limits_.handshake;
  Proof proof{.keys = keys.Current(), .now = keys.now(), .key = nullptr, .refused = {}};
  if (is_client) {
    proof.key = ChooseKey(*proof.keys, proof.now);
    if (proof.key == nullptr) {
      return Fail(ErrorCode::kForbidden,
                  fmt::format("no key in this machine's key file is valid now; key \"{}\" {}",
                              proof.keys->back().id, proof.keys->back().WhyNot(proof.now)));
    }
  }
  SSL_CTX* context = Context(is_client);
  ssl_.reset(context != nullptr ? SSL_new(context) : nullptr);
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_.get()) != 1) {
    return Fail(ErrorCode::kUnavailable, "no TLS: " + TakeComplaint());
  }
  SSL_set_app_data(ssl_.get(), &proof);
  if (is_client) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) break;
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      if (WaitFor(error, until)) continue;
      return Fail(ErrorCode::kTimeout,
                  fmt::format("its handshake took longer than {} ms", limits_.handshake.count()));
    }
    const std::string complaint = TakeComplaint();
    if (!proof.refused.empty()) return Fail(ErrorCode::kForbidden, proof.refused);
    if (is_client) {
      return Fail(ErrorCode::kForbidden,
                  fmt::format("it does not take key \"{}\" ({}); its log says why", proof.key->id,
                              complaint));
    }
    if (proof.key != nullptr) {
      return Fail(ErrorCode::kForbidden,
                  fmt::format("it names key \"{}\" but does not have the same one ({})",
                              proof.key->id, complaint));
    }
    return Fail(ErrorCode::kForbidden, "it offers no key (" + complaint + ")");
  }
  SSL_set_app_data(ssl_.get(), nullptr);
  // With a key, nothing else: neither a certificate nor nothing.
  if (SSL_session_reused(ssl_.get()) != 1 || proof.key == nullptr) {
    return Fail(ErrorCode::kForbidden, "it has not proved that it has a key");
  }
  key_id_ = proof.key->id;
  return {};
}

Result<std::unique_ptr<SecureConnection>> SecureConnection::Connect(const std::string& host,
                                                                    std::uint16_t port,
                                                                    KeyFile& keys,
                                                                    ConnectionLimits limits) {
  Address address;
  const Result<socklen_t> size = FillAddress(host, port, address);
  if (!size) return Fail(size);
  UniqueFd socket(
      ::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket.is_open()) return FailErrno("cannot make a socket");
  SetDelays(socket.get());
  const auto fail = [&](const std::string& why) {
    return Fail(ErrorCode::kUnavailable, "it cannot be reached: " + why);
  };
  const auto reason = [](int error) {
    return std::string(std::strerror(error));  // NOLINT(concurrency-mt-unsafe)
  };
  if (::connect(socket.get(), &address.any, *size) != 0) {
    if (errno != EINPROGRESS) return fail(reason(errno));
    pollfd waiting{socket.get(), POLLOUT, 0};
    const Clock::time_point until = Clock::now() + limits.handshake;
    int ready = 0;
    do {
      ready = ::poll(&waiting, 1, PollTimeout(until));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) return fail("no answer");
    int error = 0;
    socklen_t error_size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (error != 0) return fail(reason(error));
  }
  std::unique_ptr<SecureConnection> connection(new SecureConnection(std::move(socket), limits));
  Result<void> proved = connection->Handshake(keys, true);
  if (!proved) return Fail(proved);
  return connection;
}

Result<std::unique_ptr<SecureConnection>> SecureConnection::Accept(UniqueFd socket, KeyFile& keys,
                                                                   ConnectionLimits limits) {
  SetDelays(socket.get());
  std::unique_ptr<SecureConnection> connection(new SecureConnection(std::move(socket), limits));
  Result<void> proved = connection->Handshake(keys, false);
  if (!proved) return Fail(proved);
  return connection;
}

Result<void> SecureConnection::Send(FrameKind kind, std::string_view payload) {
  const std::string frame = EncodeFrame(kind, payload);
  std::string_view left = frame;
  Clock::time_point until = Clock::now() + limits_.silence;
  while (!left.empty()) {
    ERR_clear_error();
    std::size_t sent = 0;
    if (SSL_write_ex(ssl_.get(), left.data(), left.size(), &sent) == 1) {
      left.remove_prefix(sent);
      until = Clock::now() + limits_.silence;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), 0);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      return Fail(ErrorCode::kUnavailable, "the connection to it broke: " + TakeComplaint());
    }
    if (Result<void> ready = WaitFor(error, until); !ready) return ready;
  }
  return {};
}

Result<std::optional<Frame>> SecureConnection::TryReceive() {
  std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  while (true) {
    Result<std::optional<Frame>> frame = frames_.Next();
    if (!frame || frame->has_value()) return frame;
    ERR_clear_error();
    std::size_t got = 0;
    if (SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &got) == 1) {
      frames_.Feed({buffer.data(), got});
      continue;
    }
    switch (SSL_get_error(ssl_.get(), 0)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return std::optional<Frame>();
      case SSL_ERROR_ZERO_RETURN:
        return Fail(ErrorCode::kUnavailable, frames_.is_inside()
                                                 ? "it closed the connection within a frame"
                                                 : "it closed the connection");
      default:
        return Fail(ErrorCode::kUnavailable, "the connection to it broke: " + TakeComplaint());
    }
  }
}

Result<std::optional<Frame>> SecureConnection::Receive(std::chrono::milliseconds wait, int also) {
  const Clock::time_point until = Clock::now() + wait;
  while (true) {
    Result<std::optional<Frame>> frame = TryReceive();
    if (!frame || frame->has_value()) return frame;
    if (Clock::now() >= until) return frame;
    std::array<pollfd, 2> waiting = {pollfd{socket_.get(), POLLIN, 0}, pollfd{also, POLLIN, 0}};
    if (::poll(waiting.data(), waiting.size(), PollTimeout(until)) < 0 && errno != EINTR) {
      return FailErrno("cannot wait for it");
    }
    if (waiting[1].revents != 0) return TryReceive();
  }
}

Result<UniqueFd> Listen(const std::string& host, std::uint16_t& port) {
  Address address;
  const Result<socklen_t> size = FillAddress(host, port, address);
  if (!size) return Fail(size);
  UniqueFd socket(
      ::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket.is_open()) return FailErrno("cannot make a socket");
  const int one = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  socklen_t bound = sizeof address;
  if (::bind(socket.get(), &address.any, *size) != 0 || ::listen(socket.get(), 1024) != 0 ||
      ::getsockname(socket.get(), &address.any, &bound) != 0) {
    return FailErrno(fmt::format("cannot listen on {} port {}", host, port));
  }
  port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
  return socket;
}

}  // namespace zerocloud::peer
