#include "middleware/operations/health_handler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace zerocloud::operations {
namespace {

class Inner : public http::Handler {
 public:
  Begun Begin(const http::RequestHead&) override {
    http::Response response;
    response.text = "OK";
    return response;
  }
};

http::Response Ask(http::Handler& handler, const std::string& target) {
  http::RequestHead head;
  head.method = "GET";
  head.target = target;
  auto begun = handler.Begin(head);
  return std::move(std::get<http::Response>(begun));
}

TEST(HealthHandler, IsDisabledByAFileAndOnlyWhileItExists) {
  std::string directory = "/tmp/zerocloud-health-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string file = directory + "/disabled";
  Inner inner;
  HealthHandler handler(inner, file);
  EXPECT_EQ(Ask(handler, "/healthcheck").status, 200);
  std::ofstream(file) << "";
  const http::Response disabled = Ask(handler, "/healthcheck");
  EXPECT_EQ(disabled.status, 503);
  EXPECT_EQ(disabled.text, "DISABLED BY FILE");
  EXPECT_EQ(disabled.headers.Get("Content-Type"), "text/plain");
  EXPECT_EQ(Ask(handler, "/healthcheck?x=1").status, 503);
  EXPECT_EQ(Ask(handler, "/healthcheckx").status, 200);
  EXPECT_EQ(Ask(handler, "/v1/a/healthcheck").status, 200);
  handler.SetDisablePath("");
  EXPECT_EQ(Ask(handler, "/healthcheck").status, 200);
  handler.SetDisablePath(file);
  EXPECT_EQ(Ask(handler, "/healthcheck").status, 503);
  ::unlink(file.c_str());
  EXPECT_EQ(Ask(handler, "/healthcheck").status, 200);
  ::rmdir(directory.c_str());
}

}  // namespace
}  // namespace zerocloud::operations
