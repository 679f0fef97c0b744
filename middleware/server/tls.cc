#include "middleware/server/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

namespace zerocloud::server {
namespace {

// What OpenSSL last complained about.
std::string Complaint() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::ForServer(const std::string& certificate_file,
                                                          const std::string& key_file) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return Fail(ErrorCode::kUnavailable, "no TLS: " + Complaint());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return Fail(ErrorCode::kInvalid,
                "server.tls_certificate: \"" + certificate_file +
                    "\" is no PEM certificate that can be read: " + Complaint());
  }
  const bool is_key =
      SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context.get()) == 1;
  if (!is_key) {
    return Fail(ErrorCode::kInvalid,
                "server.tls_key: \"" + key_file +
                    "\" is not the PEM key of the certificate: " + Complaint());
  }
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(context)));
}

Result<std::shared_ptr<TlsContext>> TlsContext::ForClient(const std::string& authorities_file) {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return Fail(ErrorCode::kUnavailable, "no TLS: " + Complaint());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const bool is_loaded =
      authorities_file.empty()
          ? SSL_CTX_set_default_verify_paths(context.get()) == 1
          : SSL_CTX_load_verify_locations(context.get(), authorities_file.c_str(), nullptr) == 1;
  if (!is_loaded) {
    return Fail(ErrorCode::kInvalid,
                "proxy.tls_authorities: \"" + authorities_file +
                    "\" holds no PEM certificates that can be read: " + Complaint());
  }
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(context)));
}

SslSession TlsContext::NewSession() const {
  SslSession session(SSL_new(context_.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (session == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return nullptr;
  }
  BIO_set_mem_eof_return(in, -1);  // empty means: ask again
  SSL_set_bio(session.get(), in, out);
  return session;
}

SslSession TlsContext::NewServerSession() const {
  SslSession session = NewSession();
  if (session != nullptr) SSL_set_accept_state(session.get());
  return session;
}

SslSession TlsContext::NewClientSession(const std::string& host) const {
  SslSession session = NewSession();
  if (session == nullptr) return session;
  SSL_set_connect_state(session.get());
  X509_VERIFY_PARAM* verify = SSL_get0_param(session.get());
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) == 1;
  if (is_address) return session;
  const bool is_named = SSL_set1_host(session.get(), host.c_str()) == 1 &&
                        SSL_set_tlsext_host_name(session.get(), host.c_str()) == 1;
  if (!is_named) session.reset();
  return session;
}

}  // namespace zerocloud::server
