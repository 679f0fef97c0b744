#include "middleware/store/testing/fixture.h"

#include <cstdlib>
#include <stdexcept>

namespace zerocloud::store {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "zerocloud-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Answer Call(http::Handler& handler, const std::string& method, const std::string& target,
            const HeaderList& headers, const Body& body) {
  http::RequestHead head;
  head.method = method;
  head.target = target;
  head.headers.Add("Host", "127.0.0.1:8080");
  for (const auto& [name, value] : headers) head.headers.Add(name, value);
  head.trans_id = "tx0123";
  head.is_chunked = body.is_chunked;
  if (body.bytes && !body.is_chunked) {
    head.content_length = body.declared.value_or(body.bytes->size());
  }
  http::Handler::Begun begun = handler.Begin(head);
  http::Response response;
  if (auto* exchange = std::get_if<std::unique_ptr<http::Exchange>>(&begun)) {
    const std::string bytes = body.bytes.value_or("");
    // In two pieces, so that nothing relies on a body being one.
    const std::size_t half = bytes.size() / 2;
    const auto all = std::as_bytes(std::span(bytes.data(), bytes.size()));
    if ((*exchange)->Write(all.first(half))) {
      static_cast<void>((*exchange)->Write(all.subspan(half)));
    }
    bool is_done = false;
    (*exchange)->Finish([&](http::Response answer) {
      EXPECT_FALSE(is_done);
      is_done = true;
      response = std::move(answer);
    });
    EXPECT_TRUE(is_done);
  } else {
    response = std::get<http::Response>(std::move(begun));
  }
  Answer answer;
  answer.status = response.status;
  answer.headers = response.headers;
  answer.body = response.text;
  if (response.body) {
    std::vector<std::byte> buffer(1000);
    while (true) {
      const auto got = response.body->Read(buffer);
      EXPECT_TRUE(got.has_value());
      if (!got || *got == 0) break;
      answer.body.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
    EXPECT_EQ(answer.body.size(), response.body_size);
  }
  const auto length = response.declared_length.value_or(answer.body.size());
  answer.headers.Set("Content-Length", std::to_string(length));
  return answer;
}

void StoreTest::Start() {
  options_.directory = directory_.path().string();
  options_.durability = Durability::kProcess;
  options_.clock = [this] { return now_ns_; };
  auto store = DirectoryStore::Open(options_);
  ASSERT_TRUE(store) << store.error().message;
  store_ = *std::move(store);
  auto authenticator = Authenticator::Create(
      {
          {.account = "test", .user = "tester", .key = "testing"},
          {.account = "test", .user = "plain", .key = "testing3", .is_admin = false},
          {.account = "other", .user = "tester", .key = "testing2"},
          {.account = "admin",
           .user = "admin",
           .key = "admin",
           .is_admin = true,
           .is_reseller_admin = true},
      },
      options_.clock);
  ASSERT_TRUE(authenticator) << authenticator.error().message;
  authenticator_ = *std::move(authenticator);
  ApiOptions options;
  options.version = "0.1";
  options.info_sections["zerocloud"] = R"({"x":1})";
  api_ = std::make_unique<SwiftApi>(*store_, *authenticator_, options);
  token_ = Token("test:tester", "testing");
}

void StoreTest::Stop() {
  api_.reset();
  authenticator_.reset();
  store_.reset();
}

std::string StoreTest::Token(const std::string& user, const std::string& key) {
  const Answer answer =
      Call(*api_, "GET", "/auth/v1.0", {{"X-Auth-User", user}, {"X-Auth-Key", key}});
  EXPECT_EQ(answer.status, 200);
  return answer.Header("X-Auth-Token");
}

Answer StoreTest::Do(const std::string& method, const std::string& target, HeaderList headers,
                     const Body& body) {
  headers.emplace_back("X-Auth-Token", token_);
  return Call(*api_, method, "/v1/AUTH_test" + target, headers, body);
}

std::vector<std::string> StoreTest::Leftovers() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Dir() / ".zerocloud/tmp")) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

}  // namespace zerocloud::store
