// Accounts and containers through the API: listings, metadata, tokens, access lists.
#include "middleware/store/testing/fixture.h"

namespace zerocloud::store {
namespace {

class SwiftFolder : public StoreTest {
 protected:
  void Fill(const std::vector<std::string>& names) {
    Do("PUT", "/c");
    for (const std::string& name : names) {
      ASSERT_EQ(Put("/c/" + http::PercentEncode(name), "x").status, 201);
    }
  }
};

TEST_F(SwiftFolder, ContainersAreMadeOnceAndDeletedEmpty) {
  EXPECT_EQ(Do("HEAD", "/c").status, 404);
  EXPECT_EQ(Do("GET", "/c").status, 404);
  EXPECT_EQ(Do("POST", "/c").status, 404);
  EXPECT_EQ(Do("DELETE", "/c").status, 404);
  EXPECT_EQ(Do("PUT", "/c").status, 201);
  EXPECT_EQ(Do("PUT", "/c").status, 202);
  Put("/c/o", "x");
  EXPECT_EQ(Do("DELETE", "/c").status, 409);
  Do("DELETE", "/c/o");
  EXPECT_EQ(Do("DELETE", "/c").status, 204);
  EXPECT_EQ(Do("GET", "/c").status, 404);
  EXPECT_FALSE(std::filesystem::exists(Dir() / "AUTH_test"));
}

TEST_F(SwiftFolder, TotalsCountObjectsAndBytes) {
  Fill({});
  Put("/c/a", "12345");
  Put("/c/b", "123");
  Put("/c/a", "1");
  Answer head = Do("HEAD", "/c");
  EXPECT_EQ(head.status, 204);
  EXPECT_EQ(head.Header("X-Container-Object-Count"), "2");
  EXPECT_EQ(head.Header("X-Container-Bytes-Used"), "4");
  Do("PUT", "/d");
  head = Do("HEAD", "");
  EXPECT_EQ(head.status, 204);
  EXPECT_EQ(head.Header("X-Account-Container-Count"), "2");
  EXPECT_EQ(head.Header("X-Account-Object-Count"), "2");
  EXPECT_EQ(head.Header("X-Account-Bytes-Used"), "4");
  EXPECT_EQ(head.Header("X-Timestamp"), "1700000000.00000");
}

TEST_F(SwiftFolder, EmptyListingsAre204AsTextAnd200AsJson) {
  EXPECT_EQ(Do("GET", "").status, 204);
  EXPECT_EQ(Do("GET", "?format=json").body, "[]");
  Do("PUT", "/c");
  EXPECT_EQ(Do("GET", "/c").status, 204);
  EXPECT_EQ(Do("GET", "/c?format=json").status, 200);
  EXPECT_EQ(Get("/c?format=json"), "[]");
}

TEST_F(SwiftFolder, JsonSaysAllAboutEachObject) {
  Fill({"a\"b"});
  EXPECT_EQ(Get("/c?format=json"),
            R"([{"bytes":1,"hash":"9dd4e461268c8034f5c8564e155c67a6","name":"a\"b",)"
            R"("content_type":"application/octet-stream",)"
            R"("last_modified":"2023-11-14T22:13:20.000010"}])");
  EXPECT_EQ(Do("GET", "/c", {{"Accept", "application/json"}}).Header("Content-Type"),
            "application/json; charset=utf-8");
  EXPECT_EQ(Get("?format=json"),
            R"([{"name":"c","count":1,"bytes":1,"last_modified":"2023-11-14T22:13:20.000000"}])");
  EXPECT_EQ(Do("GET", "/c", {{"Accept", "image/png"}}).status, 406);
}

TEST_F(SwiftFolder, XmlIsWellFormedForAnyName) {
  Fill({"a<&>\"", "\x01"});
  EXPECT_NE(Get("/c?format=xml").find("<name>a&lt;&amp;&gt;&quot;</name>"), std::string::npos);
  EXPECT_NE(Get("/c?format=xml").find("<name>\xef\xbf\xbd</name>"), std::string::npos);
  EXPECT_NE(Get("?format=xml").find("<container><name>c</name><count>2</count>"),
            std::string::npos);
}

TEST_F(SwiftFolder, ListingsAreInByteOrderAndPaged) {
  Fill({"b", "a", "\xc3\xa4", "B", "c"});
  EXPECT_EQ(Get("/c"), "B\na\nb\nc\n\xc3\xa4\n");
  EXPECT_EQ(Get("/c?limit=2"), "B\na\n");
  EXPECT_EQ(Get("/c?limit=2&marker=a"), "b\nc\n");
  EXPECT_EQ(Get("/c?marker=a&end_marker=c"), "b\n");
  EXPECT_EQ(Get("/c?reverse=true&limit=2"), "\xc3\xa4\nc\n");
  EXPECT_EQ(Get("/c?reverse=1&marker=c&end_marker=B"), "b\na\n");
  EXPECT_EQ(Do("GET", "/c?marker=%C3%A4").status, 204);
  EXPECT_EQ(Do("GET", "/c?limit=0").status, 204);
  EXPECT_EQ(Do("GET", "/c?limit=10001").status, 412);
  EXPECT_EQ(Do("GET", "/c?limit=10000").status, 200);
  EXPECT_EQ(Do("GET", "/c?prefix=%ff").status, 400);
}

TEST_F(SwiftFolder, DelimitersFoldNamesIntoSubdirs) {
  Fill({"a", "p/1", "p/2", "p/q/3", "p/q/4", "p0", "z"});
  EXPECT_EQ(Get("/c?delimiter=/"), "a\np/\np0\nz\n");
  EXPECT_EQ(Get("/c?delimiter=/&prefix=p/"), "p/1\np/2\np/q/\n");
  EXPECT_EQ(Get("/c?delimiter=/&marker=p/"), "p0\nz\n");
  EXPECT_EQ(Get("/c?delimiter=/&limit=2"), "a\np/\n");
  EXPECT_EQ(Get("/c?delimiter=/&reverse=on"), "z\np0\np/\na\n");
  EXPECT_EQ(Get("/c?delimiter=/&reverse=on&marker=p0"), "p/\na\n");
  EXPECT_EQ(Get("/c?delimiter=/q/"), "a\np/1\np/2\np/q/\np0\nz\n");
  EXPECT_EQ(Get("/c?delimiter=/&prefix=p/q/&format=json&limit=1").substr(0, 10), "[{\"bytes\":");
  EXPECT_EQ(Get("/c?delimiter=/&prefix=p&format=json&limit=1"), R"([{"subdir":"p/"}])");
}

TEST_F(SwiftFolder, PathListsOnePseudoFolder) {
  Fill({"a", "p", "p/", "p/1", "p/q/", "p/q/3"});
  EXPECT_EQ(Get("/c?path="), "a\np\np/\n");
  EXPECT_EQ(Get("/c?path=p"), "p/1\np/q/\n");
}

TEST_F(SwiftFolder, MetadataIsSetAndRemovedOneByOne) {
  Do("PUT", "/c", {{"X-Container-Meta-A", "1"}, {"X-Container-Meta-B", "2"}});
  EXPECT_EQ(Do("POST", "/c", {{"X-Container-Meta-A", ""}, {"X-Container-Meta-C", "3"}}).status,
            204);
  Answer head = Do("HEAD", "/c");
  EXPECT_EQ(head.Header("X-Container-Meta-A"), "<absent>");
  EXPECT_EQ(head.Header("X-Container-Meta-B"), "2");
  EXPECT_EQ(head.Header("X-Container-Meta-C"), "3");
  Do("POST", "/c", {{"X-Remove-Container-Meta-B", "x"}});
  EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Meta-B"), "<absent>");
  EXPECT_EQ(Do("POST", "", {{"X-Account-Meta-Book", "moby"}}).status, 204);
  EXPECT_EQ(Do("HEAD", "").Header("X-Account-Meta-Book"), "moby");
  EXPECT_EQ(Do("POST", "/c", {{"X-Container-Meta-" + std::string(129, 'n'), "v"}}).status, 400);
  Restart();
  EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Meta-C"), "3");
  EXPECT_EQ(Do("HEAD", "").Header("X-Account-Meta-Book"), "moby");
}

TEST_F(SwiftFolder, TokensAreGivenForTheRightKeyOnly) {
  const Answer good = Call(*api_, "GET", "/auth/v1.0",
                           {{"X-Storage-User", "test:tester"}, {"X-Storage-Pass", "testing"}});
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.Header("X-Storage-Url"), "http://127.0.0.1:8080/v1/AUTH_test");
  EXPECT_EQ(good.Header("X-Auth-Token"), good.Header("X-Storage-Token"));
  EXPECT_EQ(good.Header("X-Auth-Token-Expires"), "86400");
  for (const HeaderList& bad :
       std::vector<HeaderList>{{},
                               {{"X-Auth-User", "test:tester"}},
                               {{"X-Auth-User", "test:tester"}, {"X-Auth-Key", "wrong"}},
                               {{"X-Auth-User", "test:nobody"}, {"X-Auth-Key", "testing"}}}) {
    const Answer answer = Call(*api_, "GET", "/auth/v1.0", bad);
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.Header("Www-Authenticate"), "Swift realm=\"unknown\"");
  }
}

TEST_F(SwiftFolder, TokensExpire) {
  EXPECT_EQ(Do("HEAD", "").status, 204);
  now_ns_ += 86'400'000'000'000;
  const Answer late = Do("HEAD", "");
  EXPECT_EQ(late.status, 401);
  EXPECT_EQ(late.Header("Www-Authenticate"), "Swift realm=\"AUTH_test\"");
  EXPECT_NE(Token("test:tester", "testing"), token_);
}

TEST_F(SwiftFolder, StrangersAreRefused) {
  Fill({"o"});
  const std::string other = Token("other:tester", "testing2");
  const std::string plain = Token("test:plain", "testing3");
  const std::string reseller = Token("admin:admin", "admin");
  const auto status = [&](const std::string& token, const std::string& method,
                          const std::string& target) {
    HeaderList headers;
    if (!token.empty()) headers.emplace_back("X-Auth-Token", token);
    return Call(*api_, method, "/v1/AUTH_test" + target, headers, {"x", false, {}}).status;
  };
  for (const char* target : {"", "/c", "/c/o", "/none", "/c/none"}) {
    EXPECT_EQ(status("", "GET", target), 401) << target;
    EXPECT_EQ(status("AUTH_tkwrong", "GET", target), 401) << target;
    EXPECT_EQ(status(other, "GET", target), 403) << target;
    EXPECT_EQ(status(plain, "GET", target), 403) << target;
  }
  EXPECT_EQ(status(other, "PUT", "/c/p"), 403);
  EXPECT_EQ(status(other, "DELETE", "/c/o"), 403);
  EXPECT_EQ(status(other, "PUT", "/d"), 403);
  EXPECT_EQ(status(reseller, "GET", "/c/o"), 200);
}

TEST_F(SwiftFolder, AccessListsGiveRights) {
  Fill({"o"});
  const std::string plain = Token("test:plain", "testing3");
  const std::string other = Token("other:tester", "testing2");
  const auto status = [&](const std::string& token, const std::string& method,
                          const std::string& target, const HeaderList& more = {}) {
    HeaderList headers = more;
    if (!token.empty()) headers.emplace_back("X-Auth-Token", token);
    return Call(*api_, method, "/v1/AUTH_test" + target, headers, {"x", false, {}}).status;
  };
  Do("POST", "/c", {{"X-Container-Read", "test:plain"}});
  EXPECT_EQ(status(plain, "GET", "/c/o"), 200);
  EXPECT_EQ(status(plain, "GET", "/c"), 200);
  EXPECT_EQ(status(plain, "PUT", "/c/p"), 403);
  EXPECT_EQ(status(other, "GET", "/c/o"), 403);
  Do("POST", "/c", {{"X-Container-Write", "other"}});
  EXPECT_EQ(status(other, "PUT", "/c/p"), 201);
  EXPECT_EQ(status(other, "GET", "/c/p"), 403);
  EXPECT_EQ(status(other, "POST", "/c"), 403);
  EXPECT_EQ(status(other, "DELETE", "/c/p"), 204);
  Do("POST", "/c", {{"X-Container-Read", ".r:*"}});
  EXPECT_EQ(status("", "GET", "/c/o"), 200);
  EXPECT_EQ(status("", "HEAD", "/c/o"), 200);
  EXPECT_EQ(status("", "GET", "/c"), 401);
  Do("POST", "/c", {{"X-Container-Read", ".r:*,.rlistings"}});
  EXPECT_EQ(status("", "GET", "/c"), 200);
  Do("POST", "/c", {{"X-Container-Read", ".r:*, .r:-.evil.com"}});
  EXPECT_EQ(status("", "GET", "/c/o", {{"Referer", "http://a.evil.com/x"}}), 401);
  EXPECT_EQ(status("", "GET", "/c/o", {{"Referer", "http://good.com/x"}}), 200);
  Do("POST", "/c", {{"X-Remove-Container-Read", "x"}});
  EXPECT_EQ(status("", "GET", "/c/o"), 401);
  EXPECT_EQ(Do("POST", "/c", {{"X-Container-Read", ".x:y"}}).status, 400);
  EXPECT_EQ(Do("POST", "/c", {{"X-Container-Write", ".r:*"}}).status, 400);
}

TEST_F(SwiftFolder, AccessListsAreShownToTheOwnerOnly) {
  Do("PUT", "/c", {{"X-Container-Read", ".r:*,.rlistings"}, {"X-Container-Write", "other"}});
  EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Read"), ".r:*,.rlistings");
  EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Write"), "other");
  EXPECT_EQ(Call(*api_, "HEAD", "/v1/AUTH_test/c").Header("X-Container-Write"), "<absent>");
}

TEST_F(SwiftFolder, InfoAndHealthNeedNoToken) {
  EXPECT_EQ(Call(*api_, "GET", "/healthcheck").body, "OK");
  const Answer info = Call(*api_, "GET", "/info");
  EXPECT_EQ(info.status, 200);
  EXPECT_NE(info.body.find("\"max_file_size\":5368709120"), std::string::npos);
  EXPECT_NE(info.body.find("\"zerocloud\":{\"x\":1}"), std::string::npos);
  EXPECT_EQ(info.Header("X-Trans-Id"), "tx0123");
}

TEST_F(SwiftFolder, BadUrlsAre412AndOthers404) {
  EXPECT_EQ(Call(*api_, "GET", "/v1").status, 412);
  EXPECT_EQ(Call(*api_, "GET", "/v1//c/o").status, 412);
  EXPECT_EQ(Call(*api_, "GET", "/favicon.ico").status, 404);
  EXPECT_EQ(Call(*api_, "DELETE", "/info").status, 405);
  EXPECT_EQ(Do("DELETE", "").status, 405);
}

TEST_F(SwiftFolder, OriginsAreAllowedByTheContainer) {
  Do("PUT", "/c", {{"X-Container-Meta-Access-Control-Allow-Origin", "http://a.org"}});
  Put("/c/o", "x");
  const HeaderList preflight = {{"Origin", "http://a.org"},
                                {"Access-Control-Request-Method", "PUT"}};
  EXPECT_EQ(
      Call(*api_, "OPTIONS", "/v1/AUTH_test/c/o", preflight).Header("Access-Control-Allow-Origin"),
      "http://a.org");
  EXPECT_EQ(Call(*api_, "OPTIONS", "/v1/AUTH_test/c/o",
                 {{"Origin", "http://b.org"}, {"Access-Control-Request-Method", "PUT"}})
                .status,
            401);
  EXPECT_EQ(Do("GET", "/c/o", {{"Origin", "http://a.org"}}).Header("Access-Control-Allow-Origin"),
            "http://a.org");
  EXPECT_EQ(Do("GET", "/c/o", {{"Origin", "http://b.org"}}).Header("Access-Control-Allow-Origin"),
            "<absent>");
}

TEST_F(SwiftFolder, FeaturesOfOtherStoresAreRefused) {
  EXPECT_EQ(Do("PUT", "/c", {{"X-Versions-Location", "v"}}).status, 400);
  EXPECT_EQ(Do("PUT", "/c", {{"X-Storage-Policy", "gold"}}).status, 400);
  EXPECT_EQ(Do("PUT", "/c", {{"X-Storage-Policy", "Policy-0"}}).status, 201);
}

TEST_F(SwiftFolder, JobsAreForOwners) {
  http::RequestHead head;
  EXPECT_EQ(authenticator_->AuthorizeJob(head, "AUTH_test").error().status, 401);
  head.headers.Set("X-Auth-Token", Token("test:plain", "testing3"));
  EXPECT_EQ(authenticator_->AuthorizeJob(head, "AUTH_test").error().status, 403);
  head.headers.Set("X-Auth-Token", token_);
  const auto caller = authenticator_->AuthorizeJob(head, "AUTH_test");
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ(caller->user, "test:tester");
  EXPECT_EQ(caller->token, token_);
}

}  // namespace
}  // namespace zerocloud::store
