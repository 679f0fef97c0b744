// What the store's tests share: a fresh directory, a clock that the test turns, and an API driven
// without sockets.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/swift_api.h"

namespace zerocloud::store {

// Made by mkdtemp, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A whole answer.
struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;

  [[nodiscard]] std::string Header(std::string_view name) const {
    return std::string(headers.Get(name).value_or("<absent>"));
  }
};

// A request body, or none at all (no Content-Length either).
struct Body {
  std::optional<std::string> bytes;
  bool is_chunked = false;
  std::optional<std::uint64_t> declared;  // what Content-Length says, if not the truth
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

Answer Call(http::Handler& handler, const std::string& method, const std::string& target,
            const HeaderList& headers = {}, const Body& body = {});

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }

  // Opens the store in the test's directory, with the API over it.
  void Start();
  void Stop();
  void Restart() {
    Stop();
    Start();
  }

  // As test:tester, the owner of AUTH_test; `target` is below /v1/AUTH_test.
  Answer Do(const std::string& method, const std::string& target, HeaderList headers = {},
            const Body& body = {});
  Answer Put(const std::string& target, const std::string& bytes, HeaderList headers = {}) {
    return Do("PUT", target, std::move(headers), Body{bytes, false, std::nullopt});
  }
  std::string Get(const std::string& target) { return Do("GET", target).body; }
  // The token of "account:user".
  std::string Token(const std::string& user, const std::string& key);

  // Names of the files in DIR/.zerocloud/tmp.
  [[nodiscard]] std::vector<std::string> Leftovers() const;
  [[nodiscard]] std::filesystem::path Dir() const { return directory_.path(); }

  TemporaryDirectory directory_;
  std::int64_t now_ns_ = 1'700'000'000'000'000'000;  // 2023-11-14T22:13:20
  StoreOptions options_;
  std::unique_ptr<DirectoryStore> store_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<SwiftApi> api_;
  std::string token_;
};

}  // namespace zerocloud::store
