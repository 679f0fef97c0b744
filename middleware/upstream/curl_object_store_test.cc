// The Swift endpoint here is our own store behind our own server, on a free port of the loopback.
#include "middleware/upstream/curl_object_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "middleware/server/server.h"
#include "middleware/server/testing/held_back.h"
#include "middleware/store/testing/fixture.h"
#include "middleware/upstream/container_policies.h"
#include "middleware/upstream/listing_page.h"
#include "sandbox/runtime/calls_asked.h"

namespace zerocloud::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

auto Named(const std::string& name) { return ::testing::Field(&store::ListedObject::name, name); }

// Passes everything to a handler, after the test has had a look.
class Interposed : public http::Handler {
 public:
  explicit Interposed(http::Handler& inner) : inner_(inner) {}
  Begun Begin(const http::RequestHead& head) override {
    if (override_response) return override_response(head);
    return inner_.Begin(head);
  }

  std::function<http::Response(const http::RequestHead&)> override_response;

 private:
  http::Handler& inner_;
};

class CurlObjectStoreTest : public store::StoreTest {
 protected:
  void SetUp() override {
    store::StoreTest::SetUp();
    interposed_ = std::make_unique<Interposed>(*api_);
    auto server = server::Server::Start({}, *interposed_);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
    auto client = HttpClient::Start({});
    ASSERT_TRUE(client.has_value());
    client_ = std::move(*client);
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    objects_ = std::make_unique<CurlObjectStore>(
        *client_, CurlStoreOptions{url_, Dir().string(), 1'000'000, 100'000});
    caller_ = {.account = "AUTH_test", .user = {}, .token = Token("test:tester", "testing")};
    ASSERT_EQ(Put("/c", "").status, 201);
  }
  void TearDown() override {
    objects_.reset();
    client_.reset();
    server_.reset();
  }

  static store::ObjectPath In(std::string container, std::string object) {
    return {"AUTH_test", std::move(container), std::move(object)};
  }
  static std::string Bytes(const store::OpenedObject& opened) {
    std::string text(opened.info.size, '\0');
    EXPECT_EQ(::pread(opened.file.get(), text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
    return text;
  }
  UniqueFd FileOf(std::string_view text) {
    UniqueFd file(::open(Dir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return file;
  }
  // Answers everything with one response, from now on.
  void AlwaysAnswer(int status, const http::Headers& headers = {}, const std::string& text = {}) {
    interposed_->override_response = [=](const http::RequestHead&) {
      http::Response response;
      response.status = status;
      response.headers = headers;
      response.text = text;
      return response;
    };
  }

  std::unique_ptr<Interposed> interposed_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<HttpClient> client_;
  std::unique_ptr<CurlObjectStore> objects_;
  std::string url_;
  store::Caller caller_;
};

TEST_F(CurlObjectStoreTest, ReadsWhatIsStored) {
  ASSERT_EQ(Put("/c/dir/../%C3%B6%20%25?", "", {}).status, 201);
  ASSERT_EQ(Put("/c/a%2Fb", "hello", {{"X-Object-Meta-Colour", "blue"}, {"Content-Type", "text/x"}})
                .status,
            201);
  const auto info = objects_->Head(caller_, In("c", "a/b"));
  ASSERT_TRUE(info.has_value()) << info.error().message;
  EXPECT_EQ(info->size, 5U);
  EXPECT_EQ(info->content_type, "text/x");
  EXPECT_EQ(info->metadata.at("Colour"), "blue");
  const auto opened = objects_->Open(caller_, In("c", "a/b"));
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ(Bytes(*opened), "hello");
  EXPECT_EQ(opened->info.etag, "5d41402abc4b2a76b9719d911017c592");
  EXPECT_TRUE(objects_->Head(caller_, In("c", "dir/../\xC3\xB6 %")).has_value());
}

TEST_F(CurlObjectStoreTest, StoresWholeObjects) {
  for (const std::size_t size : {0UL, 10UL, 3'000'000UL}) {
    const std::string text(size, 'x');
    const UniqueFd file = FileOf(text + "not this");
    const auto stored = objects_->Put(
        caller_, {In("c", "new/one"), "text/csv", {{"A", "b"}, {"Empty", ""}}}, file.get(), size);
    ASSERT_TRUE(stored.has_value()) << stored.error().message;
    EXPECT_EQ(stored->size, size);
    const store::Answer got = Do("GET", "/c/new/one");
    EXPECT_TRUE(got.body == text);
    EXPECT_EQ(got.Header("Etag"), stored->etag);
    EXPECT_EQ(got.Header("X-Object-Meta-A"), "b");
    EXPECT_EQ(got.Header("Content-Type"), "text/csv");
  }
}

TEST_F(CurlObjectStoreTest, ListsPageAfterPage) {
  for (const char* name : {"a/1", "a/2", "a%20%26/3", "b"}) {
    ASSERT_EQ(Put("/c/" + std::string(name), "x").status, 201);
  }
  ASSERT_EQ(Put("/c2", "").status, 201);
  EXPECT_THAT(objects_->ListObjects(caller_, "AUTH_test", "c", "a", 10).value(),
              ElementsAre(Named("a &/3"), Named("a/1"), Named("a/2")));
  EXPECT_THAT(objects_->ListContainers(caller_, "AUTH_test", "", 10).value(),
              ElementsAre("c", "c2"));
  EXPECT_THAT(objects_->ListObjects(caller_, "AUTH_test", "c2", "", 10).value(), SizeIs(0));
  EXPECT_EQ(objects_->ListObjects(caller_, "AUTH_test", "c", "", 3).error().code,
            ErrorCode::kLimitExceeded);
  EXPECT_EQ(objects_->ListObjects(caller_, "AUTH_test", "absent", "", 3).error().code,
            ErrorCode::kNotFound);
}

TEST_F(CurlObjectStoreTest, ListsWhatAHeadWouldSay) {
  ASSERT_EQ(Put("/c/o", "hello").status, 201);
  const auto listed = objects_->ListObjects(caller_, "AUTH_test", "c", "", 10);
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  ASSERT_THAT(*listed, ElementsAre(Named("o")));
  const auto told = objects_->Head(caller_, In("c", "o"));
  ASSERT_TRUE(told.has_value()) << told.error().message;
  const store::ObjectInfo& info = listed->front().info;
  EXPECT_EQ(info.size, told->size);
  EXPECT_EQ(info.etag, told->etag);
  EXPECT_EQ(info.content_type, told->content_type);
  EXPECT_EQ(info.last_modified, told->last_modified);
}

TEST_F(CurlObjectStoreTest, TellsThePolicyOfAContainer) {
  std::vector<std::string> told;
  CurlObjectStore store(*client_,
                        {.url = url_,
                         .spool_directory = Dir(),
                         .on_policy = [&](const std::string& account, const std::string& container,
                                          const std::string& policy) {
                           told.push_back(account + "/" + container + " " + policy);
                         }});
  EXPECT_TRUE(store.ListObjects(caller_, "AUTH_test", "c", "", 10).has_value());
  EXPECT_EQ(AskPolicy(*client_, url_, caller_, "AUTH_test", "c"), "Policy-0");
  EXPECT_EQ(AskPolicy(*client_, url_, caller_, "AUTH_test", "absent"), std::nullopt);
  EXPECT_THAT(told, ElementsAre("AUTH_test/c Policy-0"));
  told.clear();
  std::string target;
  interposed_->override_response = [&](const http::RequestHead& head) {
    target = head.method + " " + head.target;
    http::Response response;
    response.status = 204;
    response.headers.Set("X-Storage-Policy", "gold");
    return response;
  };
  EXPECT_TRUE(store.ListContainers(caller_, "AUTH_test", "", 10).has_value());
  EXPECT_THAT(told, SizeIs(0));
  EXPECT_TRUE(store.ListObjects(caller_, "AUTH_test", "a b", "", 10).has_value());
  EXPECT_THAT(told, ElementsAre("AUTH_test/a b gold"));
  EXPECT_EQ(AskPolicy(*client_, url_, caller_, "AUTH_test", "a b"), "gold");
  EXPECT_EQ(target, "HEAD /v1/AUTH_test/a%20b");
  AlwaysAnswer(403, [] {
    http::Headers headers;
    headers.Set("X-Storage-Policy", "gold");
    return headers;
  }());
  EXPECT_EQ(AskPolicy(*client_, url_, caller_, "AUTH_test", "c"), std::nullopt);
  EXPECT_FALSE(store.ListObjects(caller_, "AUTH_test", "c", "", 10).has_value());
  EXPECT_THAT(told, SizeIs(1));
}

TEST_F(CurlObjectStoreTest, DoesNotFollowAListingThatNeverEnds) {
  AlwaysAnswer(200, {}, R"([{"name": "a"}, {"name": "b"}])");
  EXPECT_EQ(objects_->ListObjects(caller_, "AUTH_test", "c", "", 1000).error().code,
            ErrorCode::kUnavailable);
}

TEST_F(CurlObjectStoreTest, TellsWhetherItMayWrite) {
  EXPECT_TRUE(objects_->CheckWritable(caller_, In("c", "o")).has_value());
  EXPECT_EQ(objects_->CheckWritable(caller_, In("absent", "o")).error().code, ErrorCode::kNotFound);
  store::Caller nobody = caller_;
  nobody.token.clear();
  EXPECT_EQ(objects_->CheckWritable(nobody, In("c", "o")).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(Get("/c"), "");  // no trace
}

TEST_F(CurlObjectStoreTest, MapsRefusalsToWhoMustAct) {
  EXPECT_EQ(objects_->Open(caller_, In("c", "absent")).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(objects_->Open(caller_, In("c", "absent")).error().message,
              HasSubstr("/AUTH_test/c/absent"));
  store::Caller stranger = caller_;
  stranger.token = "wrong";
  EXPECT_EQ(objects_->Head(stranger, In("c", "o")).error().code, ErrorCode::kForbidden);
  for (const auto& [status, code] :
       {std::pair{503, ErrorCode::kUnavailable}, std::pair{507, ErrorCode::kUnavailable},
        std::pair{408, ErrorCode::kTimeout}, std::pair{413, ErrorCode::kLimitExceeded},
        std::pair{302, ErrorCode::kInternal}}) {
    AlwaysAnswer(status);
    EXPECT_EQ(objects_->Head(caller_, In("c", "o")).error().code, code) << status;
  }
  server_.reset();
  EXPECT_EQ(objects_->Head(caller_, In("c", "o")).error().code, ErrorCode::kUnavailable);
}

TEST_F(CurlObjectStoreTest, FetchesOnlyWhatIsReadOfALargeRandomInput) {
  std::string text(300'000, 'a');
  text.replace(200'000, 5, "needle", 5);
  ASSERT_EQ(Put("/c/large", text).status, 201);
  const auto small = objects_->OpenInput(caller_, In("c", "large"), {.is_random = false});
  ASSERT_TRUE(small.has_value()) << small.error().message;
  EXPECT_EQ(small->late_failure, nullptr);
  const auto opened = objects_->OpenInput(caller_, In("c", "large"), {.is_random = true});
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  ASSERT_NE(opened->late_failure, nullptr);
  EXPECT_EQ(opened->info.size, text.size());
  const auto ask = [&](std::int64_t offset, std::int64_t size) {
    const runtime::AskedRange range{offset, size};
    EXPECT_EQ(::send(opened->file.get(), &range, sizeof range, MSG_NOSIGNAL), sizeof range);
    std::string answer(static_cast<std::size_t>(size), '\0');
    const ssize_t got = ::recv(opened->file.get(), answer.data(), answer.size(), MSG_WAITALL);
    answer.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return answer;
  };
  EXPECT_EQ(ask(200'000, 5), "needl");
  text[100] = 'b';
  ASSERT_EQ(Put("/c/large", text).status, 201);
  EXPECT_EQ(ask(200'000, 5), "needl");  // was fetched before
  EXPECT_EQ(ask(0, 5), "");             // never a mixture
  const Error failure = opened->late_failure->Get().value_or(Error{ErrorCode::kInternal, ""});
  EXPECT_THAT(failure.message, HasSubstr("was replaced"));
  EXPECT_EQ(failure.code, ErrorCode::kConflict);
}

TEST_F(CurlObjectStoreTest, RefusesDamagedAndOversizedObjects) {
  http::Headers headers;
  headers.Add("ETag", "00000000000000000000000000000000");
  AlwaysAnswer(200, headers, "hello");
  EXPECT_THAT(objects_->Open(caller_, In("c", "o")).error().message, HasSubstr("damaged"));
  headers.Add("X-Static-Large-Object", "True");
  AlwaysAnswer(200, headers, "hello");
  EXPECT_TRUE(objects_->Open(caller_, In("c", "o")).has_value());
  AlwaysAnswer(200, {}, std::string(1'000'001, 'x'));
  EXPECT_EQ(objects_->Open(caller_, In("c", "o")).error().code, ErrorCode::kLimitExceeded);
}

// Endpoints that say a size and send nothing more: whoever waits for a byte waits long.
TEST_F(CurlObjectStoreTest, RefusesByTheSizeThatIsToldBeforeAnyByte) {
  server::ScriptedUpstream upstream(3, [](server::RawClient& peer, int connection) {
    EXPECT_FALSE(server::ReadHead(peer).empty());
    peer.Send(connection == 2
                  ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                  : "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
    peer.ReadAll();  // the connection is given up
  });
  const std::string url = "http://127.0.0.1:" + std::to_string(upstream.port());
  CurlObjectStore objects(*client_, CurlStoreOptions{url, Dir().string(), 1'000'000, 100'000});
  const auto large = objects.Open(caller_, In("c", "o"));
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code, ErrorCode::kLimitExceeded);
  EXPECT_THAT(large.error().message,
              HasSubstr("has bytes: 2000000; the limit storage.object_bytes is 1000000"));

  CurlObjectStore roomy(*client_, CurlStoreOptions{url, Dir().string()});
  std::vector<std::uint64_t> asked;
  const store::InputHints hints{.may_fetch = [&](std::uint64_t bytes) -> Result<void> {
    asked.push_back(bytes);
    if (bytes > 0) return Fail(ErrorCode::kCancelled, "nobody wants it");
    return {};
  }};
  for (int i = 0; i < 2; ++i) {
    const auto opened = roomy.OpenInput(caller_, In("c", "o"), hints);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().message, "nobody wants it");
  }
  EXPECT_THAT(asked, ElementsAre(2'000'000, 0, 5));  // of the last no size was told
}

TEST_F(CurlObjectStoreTest, NeverSendsAHeaderWithALineBreak) {
  const UniqueFd file = FileOf("x");
  const auto stored =
      objects_->Put(caller_, {In("c", "o"), "text/plain\r\nX-Evil: 1", {}}, file.get(), 1);
  ASSERT_FALSE(stored.has_value());
  EXPECT_EQ(stored.error().code, ErrorCode::kInvalid);
}

TEST_F(CurlObjectStoreTest, AsksTheEndpointWhoMayRunJobs) {
  CurlAuthorizer authorizer(*client_, url_);
  http::RequestHead head;
  head.headers.Add("X-Auth-Token", caller_.token);
  const auto allowed = authorizer.AuthorizeJob(head, "AUTH_test");
  ASSERT_TRUE(allowed.has_value());
  EXPECT_EQ(allowed->token, caller_.token);
  EXPECT_EQ(authorizer.AuthorizeJob(head, "AUTH_other").error().status, 403);
  head.headers.Set("X-Auth-Token", "wrong");
  const auto refused = authorizer.AuthorizeJob(head, "AUTH_test");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().status, 401);
  EXPECT_TRUE(refused.error().headers.Has("Www-Authenticate"));
  server_.reset();
  EXPECT_EQ(authorizer.AuthorizeJob(head, "AUTH_test").error().status, 502);
}

TEST(ListingPage, TakesTheNamesAndNothingElse) {
  EXPECT_THAT(ParseListingPage(R"([{"name": "a", "bytes": 1}, {"subdir": "x/"}, {"hash": "name",
      "more": {"name": "no"}, "name": "\u00e4"}])",
                               10)
                  .value(),
              ElementsAre(Named("a"), Named("\xC3\xA4")));
  EXPECT_THAT(ParseListingPage("[]", 10).value(), SizeIs(0));
  for (const std::string& wrong :
       {std::string(), std::string("{}"), std::string("[1]"), std::string("[\"name\"]"),
        std::string("<html>"), std::string("[{\"name\": \"\xff\"}]"), std::string(100'000, '[')}) {
    EXPECT_FALSE(ParseListingPage(wrong, 10).has_value()) << wrong.substr(0, 40);
  }
}

TEST(ListingPage, LooksAtNoMoreThanIsWanted) {
  const std::string page = R"([{"name": "a"}, {"subdir": "b"}, {"name": "c"}, {"name": "d"}, no)";
  EXPECT_THAT(ParseListingPage(page, 3).value(), ElementsAre(Named("a"), Named("c"), Named("d")));
  EXPECT_THAT(ParseListingPage(page, 1).value(), ElementsAre(Named("a")));
  EXPECT_FALSE(ParseListingPage(page, 4).has_value());
}

TEST_F(CurlObjectStoreTest, AcknowledgesAnObjectBeforeItIsWhole) {
  for (const std::size_t size : {std::size_t{5'000}, std::size_t{100'000}}) {
    server::ScriptedUpstream upstream(1, server::AnswersHeldBack(size));
    CurlObjectStore objects(*client_,
                            CurlStoreOptions{"http://127.0.0.1:" + std::to_string(upstream.port()),
                                             Dir().string(), 1'000'000, 100'000});
    EXPECT_LT(server::FastestHeldBack([&] {
                const auto opened = objects.Open(caller_, In("c", "object"));
                ASSERT_TRUE(opened.has_value()) << opened.error().message;
                EXPECT_EQ(opened->info.size, size);
              }),
              server::kNotDelayed);
  }
}

}  // namespace
}  // namespace zerocloud::upstream
