// Users, tokens and rights of the embedded store, in the manner of Swift's tempauth: users stand in
// the configuration, a token is asked for with GET /auth/v1.0 and lives in memory.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/http/message.h"
#include "middleware/store/authorizer.h"
#include "middleware/store/timestamp.h"

namespace zerocloud::store {

// A user as the configuration names it: "test:tester". The storage account is "AUTH_" + account.
struct StoreUser {
  std::string account;
  std::string user;
  std::string key;
  bool is_admin = true;            // owns the account; others have what access lists give them
  bool is_reseller_admin = false;  // owns every account
};

// Whoever makes a request. An anonymous one has no name and no groups.
struct Identity {
  std::string name;  // "test:tester"
  std::string home;  // "AUTH_test"
  bool is_admin = false;
  bool is_reseller_admin = false;
  std::vector<std::string>
      groups;  // what access lists are matched with: "test", "test:tester", ...

  [[nodiscard]] bool is_anonymous() const { return name.empty(); }
  [[nodiscard]] bool Owns(std::string_view account) const {
    return is_reseller_admin || (is_admin && account == home);
  }
};

class Authenticator : public Authorizer {
 public:
  static constexpr std::string_view kAccountPrefix = "AUTH_";
  static constexpr std::int64_t kTokenSeconds = 86'400;

  // kInvalid: an empty name or key, a ':' or '/' in a name, or a user named twice.
  static Result<std::unique_ptr<Authenticator>> Create(std::vector<StoreUser> users,
                                                       WallClock clock,
                                                       std::string storage_url_scheme = "http");

  // GET /auth/v1.0 with X-Auth-User and X-Auth-Key (or X-Storage-User and X-Storage-Pass).
  http::Response GiveToken(const http::RequestHead& head);

  // Of X-Auth-Token or X-Storage-Token. No token: anonymous. nullopt: unknown or expired.
  std::optional<Identity> Identify(const http::Headers& headers);
  std::optional<Identity> IdentifyToken(std::string_view token);

  // Jobs run in accounts that the caller owns.
  std::expected<Caller, http::Response> AuthorizeJob(const http::RequestHead& head,
                                                     const std::string& account) override;

 private:
  struct Token {
    std::string text;
    std::int64_t expires = 0;  // seconds since 1970
  };

  Authenticator(std::vector<StoreUser> users, WallClock clock, std::string scheme)
      : users_(std::move(users)), clock_(std::move(clock)), scheme_(std::move(scheme)) {}

  [[nodiscard]] std::int64_t NowSeconds() const { return clock_() / 1'000'000'000; }

  const std::vector<StoreUser> users_;
  const WallClock clock_;
  const std::string scheme_;
  std::mutex mutex_;
  std::map<std::size_t, Token> tokens_;                       // by user: one each, reused
  std::map<std::string, std::size_t, std::less<>> by_token_;  // token -> user
};

// 401 with WWW-Authenticate, for a caller that gave no valid token; `realm` is the account.
[[nodiscard]] http::Response Unauthorized(std::string_view realm);

}  // namespace zerocloud::store
