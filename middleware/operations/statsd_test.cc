#include "middleware/operations/statsd.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "middleware/operations/gauges.h"
#include "middleware/operations/metrics.h"

namespace zerocloud::operations {
namespace {

// A StatsD server: a UDP socket on loopback.
class Receiver {
 public:
  Receiver() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    void* place = &address_;
    EXPECT_EQ(::bind(socket_.get(), static_cast<sockaddr*>(place), size), 0);
    EXPECT_EQ(::getsockname(socket_.get(), static_cast<sockaddr*>(place), &size), 0);
  }
  [[nodiscard]] std::uint16_t port() const { return ntohs(address_.sin_port); }
  // The next datagram. On loopback it is there when the send returns.
  [[nodiscard]] std::string Next(int flags = 0) const {
    std::array<char, 1500> buffer{};
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), flags);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(0, size))};
  }

 private:
  UniqueFd socket_;
  sockaddr_in address_{};
};

TEST(Statsd, SendsWhatSwiftWouldSend) {
  const Receiver receiver;
  auto statsd = Statsd::Open({.host = "127.0.0.1", .port = receiver.port(), .prefix = "p1"});
  ASSERT_TRUE(statsd.has_value()) << statsd.error().message;
  Metrics metrics("1", statsd->get());
  http::RequestHead head;
  head.method = "GET";
  head.target = "/v1/a/c/o";
  server::RequestRecord record;
  record.head = &head;
  record.status = 206;
  record.bytes_in = 1;
  record.bytes_out = 41;
  record.duration = std::chrono::microseconds(2500);
  metrics.Count(record);
  EXPECT_EQ(receiver.Next(), "p1.zerocloud.object.GET.206.timing:2.5|ms");
  EXPECT_EQ(receiver.Next(), "p1.zerocloud.object.GET.206.xfer:42|c");
  head.method = "LI:CK|\n";
  metrics.Count(record);
  EXPECT_EQ(receiver.Next(), "p1.zerocloud.object.BAD_METHOD.206.timing:2.5|ms");
}

TEST(Statsd, SamplesAndSaysSo) {
  const Receiver receiver;
  auto statsd = Statsd::Open({.host = "127.0.0.1", .port = receiver.port(), .sample_percent = 10});
  ASSERT_TRUE(statsd.has_value());
  int sampled = 0;
  for (int i = 0; i < 10'000; ++i) sampled += (*statsd)->IsSampled() ? 1 : 0;
  EXPECT_GT(sampled, 500);
  EXPECT_LT(sampled, 2000);
  (*statsd)->Count("x", 3);
  EXPECT_EQ(receiver.Next(), "zerocloud.x:3|c|@0.1");
}

TEST(Statsd, TellsGaugesAgainAndAgain) {
  const Receiver receiver;
  auto statsd = Statsd::Open({.host = "127.0.0.1", .port = receiver.port(), .sample_percent = 1});
  ASSERT_TRUE(statsd.has_value());
  std::uint64_t jobs = 0;
  auto gauges = Gauges::Start(
      **statsd, [&jobs] { return Gauges::Values{{"jobs", jobs++}, {"spool_bytes", 1ULL << 60U}}; },
      std::chrono::milliseconds(1));
  ASSERT_TRUE(gauges.has_value()) << gauges.error().message;
  for (const char* jobs_now : {"0", "1", "2"}) {
    EXPECT_EQ(receiver.Next(), std::string("zerocloud.jobs:") + jobs_now + "|g");
    EXPECT_EQ(receiver.Next(), "zerocloud.spool_bytes:1152921504606846976|g");
  }
  gauges->reset();
  while (!receiver.Next(MSG_DONTWAIT).empty()) continue;
  EXPECT_EQ(receiver.Next(MSG_DONTWAIT), "") << "they end with it";
}

TEST(Statsd, TellsGaugesAtOnceAndEndsAtOnce) {
  const Receiver receiver;
  auto statsd = Statsd::Open({.host = "127.0.0.1", .port = receiver.port()});
  ASSERT_TRUE(statsd.has_value());
  const auto gauges =
      Gauges::Start(**statsd, [] { return Gauges::Values{{"slots", 4}}; }, std::chrono::hours(1));
  ASSERT_TRUE(gauges.has_value()) << gauges.error().message;
  EXPECT_EQ(receiver.Next(), "zerocloud.slots:4|g");
}

TEST(Statsd, GoesOnWithoutAServerAndRefusesANameThatIsNone) {
  std::uint16_t port = 0;
  {
    const Receiver gone;
    port = gone.port();
  }
  auto statsd = Statsd::Open({.host = "127.0.0.1", .port = port});
  ASSERT_TRUE(statsd.has_value());
  for (int i = 0; i < 3; ++i) (*statsd)->Count("x", 1);
  EXPECT_FALSE(Statsd::Open({.host = "not a name"}).has_value());
}

}  // namespace
}  // namespace zerocloud::operations
