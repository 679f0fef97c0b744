// http_load PORT METHOD TARGET CONNECTIONS SECONDS BODY-BYTES [FIELD]...: requests to
// 127.0.0.1:PORT, each connection one after another, until the time is over; those under way then
// are still counted. A '*' in the target becomes the connection's number. Prints one line of JSON.
//
// One thread, and the kernel throws answers away without copying them, so that the client costs
// less than whatever it measures; `processor` says how much that was. What is measured is trusted.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/unique_fd.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::uint16_t port = 0;
  std::string method, target, fields;
  int connections = 1;
  double seconds = 1;
  std::uint64_t body = 0;
};

struct Totals {
  std::vector<double> microseconds;
  std::uint64_t bytes = 0;
  std::uint64_t failures = 0;
};

[[noreturn]] void Stop(const std::string& why) {
  std::fprintf(stderr, "http_load: %s\n", why.c_str());
  std::exit(1);
}

template <typename Number>
Number Parse(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    Stop("no number: " + std::string(text));
  return number;
}

const std::vector<char>& BodyPiece() {
  static const std::vector<char> kPiece(std::size_t{256} * 1024, 'x');
  return kPiece;
}

class Client {
 public:
  Client(const Plan& plan, int number, Totals& totals) : plan_(plan), totals_(totals) {
    std::string target = plan.target;
    if (const auto star = target.find('*'); star != std::string::npos) {
      target.replace(star, 1, std::to_string(number));
    }
    request_ = plan.method + " " + target +
               " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(plan.port) + "\r\n" + plan.fields;
    if (plan.method == "PUT") request_ += "Content-Length: " + std::to_string(plan.body) + "\r\n";
    request_ += "\r\n";
  }

  [[nodiscard]] int fd() const { return socket_.get(); }

  void Connect() {
    socket_ = zerocloud::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const void* where = &address;
    if (::connect(fd(), static_cast<const sockaddr*>(where), sizeof(address)) != 0) {
      Stop("cannot connect");
    }
    const int yes = 1;
    ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }

  void Begin() {
    start_ = Clock::now();
    sent_ = 0;
    head_.clear();
    has_head_ = false;
    Send();
  }

  // Does what it can without waiting. True: the answer is whole.
  bool Go() {
    Send();
    return Receive();
  }
  // Whether it waits for room to send.
  [[nodiscard]] bool is_sending() const { return sent_ < request_.size() + plan_.body; }

 private:
  void Send() {
    while (is_sending()) {
      const std::vector<char>& piece = BodyPiece();
      const char* from = request_.data() + sent_;
      std::size_t size = request_.size() - std::min<std::uint64_t>(sent_, request_.size());
      const bool is_head = size > 0;
      if (!is_head) {
        from = piece.data();
        size = std::min<std::uint64_t>(request_.size() + plan_.body - sent_, piece.size());
      }
      const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (is_head && plan_.body > 0 ? MSG_MORE : 0);
      const ssize_t count = ::send(fd(), from, size, flags);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) Stop("the connection broke while a request was sent");
      sent_ += static_cast<std::uint64_t>(count);
    }
  }

  bool Receive() {
    std::array<char, 16384> buffer{};
    for (;;) {
      if (has_head_ && left_ == 0) {
        const std::chrono::duration<double, std::micro> took = Clock::now() - start_;
        totals_.microseconds.push_back(took.count());
        totals_.bytes += plan_.body + length_;
        return true;
      }
      // With MSG_TRUNC TCP drops the bytes instead of copying them.
      const ssize_t count = has_head_
                                ? ::recv(fd(), nullptr, std::min<std::uint64_t>(left_, 1 << 20),
                                         MSG_DONTWAIT | MSG_TRUNC)
                                : ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count < 0 && errno == EAGAIN) return false;
      if (count <= 0) Stop("the connection broke before the whole answer came:\n" + head_);
      if (has_head_) {
        left_ -= static_cast<std::uint64_t>(count);
      } else {
        TakeHead({buffer.data(), static_cast<std::size_t>(count)});
      }
    }
  }

  void TakeHead(std::string_view bytes) {
    head_ += bytes;
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    has_head_ = true;
    length_ = 0;
    for (const std::string_view name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
      const std::size_t at = head_.find(name);
      if (at > end) continue;
      const std::size_t from = at + name.size();
      length_ =
          Parse<std::uint64_t>(std::string_view(head_).substr(from, head_.find('\r', from) - from));
    }
    if (!head_.starts_with("HTTP/1.1 20")) ++totals_.failures;
    const std::uint64_t already = head_.size() - end - 4;
    if (already > length_) Stop("more came than one answer");
    left_ = length_ - already;
  }

  const Plan& plan_;
  Totals& totals_;
  zerocloud::UniqueFd socket_;
  std::string request_;
  std::string head_;
  bool has_head_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t length_ = 0;
  std::uint64_t left_ = 0;
  Clock::time_point start_;
};

void Watch(int epoll, Client& client, int operation) {
  epoll_event event{};
  event.events = EPOLLIN | (client.is_sending() ? EPOLLOUT : 0U);
  event.data.ptr = &client;
  ::epoll_ctl(epoll, operation, client.fd(), &event);
}

double Run(const Plan& plan, Totals& totals) {
  const zerocloud::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<Client> clients;
  clients.reserve(static_cast<std::size_t>(plan.connections));
  for (int i = 0; i < plan.connections; ++i) clients.emplace_back(plan, i, totals).Connect();
  const auto start = Clock::now();
  for (Client& client : clients) {
    client.Begin();
    Watch(epoll.get(), client, EPOLL_CTL_ADD);
  }
  const auto deadline = start + std::chrono::duration<double>(plan.seconds);
  std::array<epoll_event, 256> events{};
  for (int open = plan.connections; open > 0;) {
    const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), 60'000);
    if (count <= 0) Stop("nothing came for a minute");
    for (int i = 0; i < count; ++i) {
      auto& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      const bool was_sending = client.is_sending();
      if (client.Go()) {
        if (Clock::now() >= deadline) {
          ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, client.fd(), nullptr);
          --open;
          continue;
        }
        client.Begin();
      }
      if (was_sending != client.is_sending()) Watch(epoll.get(), client, EPOLL_CTL_MOD);
    }
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) Stop("PORT METHOD TARGET CONNECTIONS SECONDS BODY-BYTES [FIELD]...");
  Plan plan{.port = Parse<std::uint16_t>(argv[1]),
            .method = argv[2],
            .target = argv[3],
            .fields = {},
            .connections = Parse<int>(argv[4]),
            .seconds = Parse<double>(argv[5]),
            .body = Parse<std::uint64_t>(argv[6])};
  for (int i = 7; i < argc; ++i) plan.fields += std::string(argv[i]) + "\r\n";
  Totals totals;
  const double seconds = Run(plan, totals);
  std::ranges::sort(totals.microseconds);
  const auto percentile = [&](std::size_t percent) {
    return totals.microseconds[(totals.microseconds.size() - 1) * percent / 100];
  };
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto in_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::printf(
      "{\"requests\": %zu, \"failures\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"p50\": %.1f, "
      "\"p99\": %.1f, \"processor\": %.3f}\n",
      totals.microseconds.size(), static_cast<unsigned long long>(totals.failures),
      static_cast<unsigned long long>(totals.bytes), seconds, percentile(50), percentile(99),
      in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime));
}
