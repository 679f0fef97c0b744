// TlsContext: a certificate to show, or authorities to trust, and new TLS sessions with them. A
// session works on memory buffers; Wire moves their bytes. Thread-safe. Internal to the server
// folder.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/server/wire.h"

namespace zerocloud::server {

class TlsContext {
 public:
  // To accept with. PEM files; the certificate's chain may follow it. TLS 1.2 and later.
  static Result<std::shared_ptr<TlsContext>> ForServer(const std::string& certificate_file,
                                                       const std::string& key_file);
  // To connect with. Peers must show a certificate for their name, signed by an authority of that
  // PEM file or, if it is empty, by one that the system trusts.
  static Result<std::shared_ptr<TlsContext>> ForClient(const std::string& authorities_file);

  [[nodiscard]] SslSession NewServerSession() const;
  // `host`: a name or an address, without brackets.
  [[nodiscard]] SslSession NewClientSession(const std::string& host) const;

 private:
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;
  explicit TlsContext(Context context) : context_(std::move(context)) {}
  [[nodiscard]] SslSession NewSession() const;

  Context context_;
};

}  // namespace zerocloud::server
