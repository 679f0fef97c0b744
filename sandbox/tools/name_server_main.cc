// zvm-name-server PEERS [PORT]: the name service of `tcp:<node>:` channels for one group of
// sessions. Prints its port, answers once PEERS nodes have asked, and ends.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "channels/channel_parse.h"
#include "channels/host_status.h"
#include "channels/network/name_service.h"

namespace {

using zerocloud::channels::HostStatus;

int Main(int argc, char** argv) {
  CLI::App app("Tells the sessions of one group where their network channels meet.",
               "zvm-name-server");
  std::size_t peers = 0;
  std::uint16_t port = 0;
  std::string address = "127.0.0.1";
  int timeout = 60;
  int linger = 2000;
  app.add_option("peers", peers, "How many nodes there are")
      ->required()
      ->check(CLI::Range(1, 65536));
  app.add_option("port", port, "The UDP port; 0 or nothing: any");
  app.add_option("--address", address, "The IPv4 address to listen at")->capture_default_str();
  app.add_option("--timeout", timeout, "Seconds to wait for all nodes")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  app.add_option("--linger", linger, "Milliseconds to go on answering once all have asked")
      ->capture_default_str()
      ->check(CLI::Range(0, 60000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(HostStatus::kUsage);
  }
  const auto ip = zerocloud::channels::ParseNameServer("udp:" + address + ":1");
  if (!ip) {
    fmt::print(stderr, "zvm-name-server: {}\n", ip.error().error.message);
    return static_cast<int>(HostStatus::kUsage);
  }
  const auto socket = zerocloud::network::BindDatagram(ip->ip, port);
  if (!socket) {
    fmt::print(stderr, "zvm-name-server: {}\n", socket.error().message);
    return static_cast<int>(HostStatus::kUnavailable);
  }
  fmt::print("{}\n", port);
  std::fflush(stdout);
  const auto served = zerocloud::network::ServeNames(
      socket->get(), peers, std::chrono::milliseconds(linger),
      {std::chrono::steady_clock::now() + std::chrono::seconds(timeout), -1});
  if (served) return 0;
  fmt::print(stderr, "zvm-name-server: not all of {} nodes asked: {}\n", peers,
             served.error().message);
  return static_cast<int>(HostStatus::kUnavailable);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {  // of the option parser; nothing of ours throws
    std::fprintf(stderr, "zvm-name-server: %s\n", error.what());
    return static_cast<int>(HostStatus::kIo);
  }
}
