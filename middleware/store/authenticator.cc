#include "middleware/store/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <set>
#include <span>

#include "middleware/digest/hex.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/store/naming.h"

namespace zerocloud::store {
namespace {

// In time that does not depend on where they differ.
bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<std::string> NewToken() {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return std::nullopt;
  return "AUTH_tk" + digest::ToHex(std::as_bytes(std::span(bytes)));
}

// A name that goes into a header: what could end the value is left out.
std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '"' && c != '\\') {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

http::Response Unauthorized(std::string_view realm) {
  http::Response response = http::TextResponse(
      401,
      "This request needs a valid token: GET /auth/v1.0 with X-Auth-User and X-Auth-Key gives "
      "one, to be sent as X-Auth-Token.");
  response.headers.Set("Www-Authenticate", "Swift realm=\"" + Printable(realm) + "\"");
  return response;
}

Result<std::unique_ptr<Authenticator>> Authenticator::Create(std::vector<StoreUser> users,
                                                             WallClock clock,
                                                             std::string storage_url_scheme) {
  std::set<std::string> seen;
  for (const StoreUser& user : users) {
    const std::string name = user.account + ":" + user.user;
    const bool is_clean = user.account.find_first_of(":/,") == std::string::npos &&
                          user.user.find_first_of(":,") == std::string::npos;
    if (user.account.empty() || user.user.empty() || user.key.empty() || !is_clean ||
        !CheckAccountName(std::string(kAccountPrefix) + user.account)) {
      return Fail(ErrorCode::kInvalid,
                  "user '" + name +
                      "': account, user and key must not be empty, an account has no "
                      "':', '/' or ',', a user no ':' or ','");
    }
    if (!seen.insert(name).second) {
      return Fail(ErrorCode::kInvalid, "user '" + name + "' is named twice");
    }
  }
  return std::unique_ptr<Authenticator>(
      new Authenticator(std::move(users), std::move(clock), std::move(storage_url_scheme)));
}

http::Response Authenticator::GiveToken(const http::RequestHead& head) {
  auto name = head.headers.Get("X-Auth-User");
  if (!name) name = head.headers.Get("X-Storage-User");
  auto key = head.headers.Get("X-Auth-Key");
  if (!key) key = head.headers.Get("X-Storage-Pass");
  if (!name || !key) return Unauthorized("unknown");

  for (std::size_t i = 0; i < users_.size(); ++i) {
    const StoreUser& user = users_[i];
    if (*name != user.account + ":" + user.user || !SameSecret(*key, user.key)) continue;
    const std::scoped_lock lock(mutex_);
    Token& token = tokens_[i];
    if (token.expires <= NowSeconds()) {
      auto fresh = NewToken();
      if (!fresh) return http::TextResponse(500, "The random number generator failed.");
      by_token_.erase(token.text);
      token = Token{*std::move(fresh), NowSeconds() + kTokenSeconds};
      by_token_[token.text] = i;
    }
    const std::string host(head.headers.Get("Host").value_or("localhost"));
    http::Response response;
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
    response.headers.Set("X-Auth-Token", token.text);
    response.headers.Set("X-Storage-Token", token.text);
    response.headers.Set("X-Auth-Token-Expires", std::to_string(token.expires - NowSeconds()));
    response.headers.Set("X-Storage-Url", scheme_ + "://" + Printable(host) + "/v1/" +
                                              std::string(kAccountPrefix) + user.account);
    return response;
  }
  return Unauthorized("unknown");
}

std::optional<Identity> Authenticator::IdentifyToken(std::string_view token) {
  std::size_t index = 0;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = by_token_.find(token);
    if (found == by_token_.end() || tokens_[found->second].expires <= NowSeconds()) {
      return std::nullopt;
    }
    index = found->second;
  }
  const StoreUser& user = users_[index];
  Identity identity;
  identity.name = user.account + ":" + user.user;
  identity.home = std::string(kAccountPrefix) + user.account;
  identity.is_admin = user.is_admin;
  identity.is_reseller_admin = user.is_reseller_admin;
  identity.groups = {user.account, identity.name};
  if (user.is_admin) identity.groups.push_back(identity.home);
  return identity;
}

std::optional<Identity> Authenticator::Identify(const http::Headers& headers) {
  auto token = headers.Get("X-Auth-Token");
  if (!token || token->empty()) token = headers.Get("X-Storage-Token");
  if (!token || token->empty()) return Identity{};
  return IdentifyToken(*token);
}

std::expected<Caller, http::Response> Authenticator::AuthorizeJob(const http::RequestHead& head,
                                                                  const std::string& account) {
  const auto identity = Identify(head.headers);
  if (!identity || identity->is_anonymous()) return std::unexpected(Unauthorized(account));
  if (!identity->Owns(account)) {
    return std::unexpected(http::TextResponse(403, "User " + identity->name +
                                                       " may not run jobs in account " + account +
                                                       ": it takes an admin of that account."));
  }
  auto token = head.headers.Get("X-Auth-Token");
  if (!token || token->empty()) token = head.headers.Get("X-Storage-Token");
  return Caller{account, identity->name, std::string(token.value_or(""))};
}

}  // namespace zerocloud::store
