// idle_bench GUEST [SESSIONS [ROUNDS]]: what an idle session costs in memory, that of the kernel
// included. GUEST says a byte on its standard output when it runs, and waits for its input.
//
// There is no account of this without control groups, so it is the difference that many sessions,
// alive at once, make to the whole machine's memory (/proc/meminfo): what is neither free nor page
// cache of files, before they are started, while all of them wait, and after they have been reaped.
// Other processes disturb it; so there are rounds, and as many of a control that starts nothing.
// Prints JSON: bytes for each session, medians, and of what kind they are.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/session.h"

namespace {

using zerocloud::UniqueFd;
using zerocloud::loader::Image;
using zerocloud::runtime::Session;
using zerocloud::runtime::SessionRequest;

// By its kind; the kernel's names.
constexpr std::array<const char*, 6> kKinds = {"AnonPages",   "Shmem", "PageTables",
                                               "KernelStack", "Slab",  "Percpu"};

using Memory = std::map<std::string, double>;  // bytes

// Pages that are free, but that a processor keeps for itself: MemFree does not have them.
double KeptByProcessors() {
  std::ifstream in("/proc/zoneinfo");
  double pages = 0;
  std::string word;
  for (double count = 0; in >> word;) {
    if (word == "count:" && in >> count) pages += count;
  }
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Memory Look() {
  std::ifstream in("/proc/meminfo");
  Memory fields;
  std::string name, unit;
  for (double kib = 0; in >> name >> kib && std::getline(in, unit);) {
    name.pop_back();
    fields[name] = kib * 1024;
  }
  Memory used;
  used["all"] = fields["MemTotal"] - fields["MemFree"] - KeptByProcessors() - fields["Buffers"] -
                fields["Cached"] + fields["Shmem"];
  for (const char* kind : kKinds) used[kind] = fields[kind];
  return used;
}

// A session with a pipe as its input.
std::unique_ptr<Session> StartOne(const std::shared_ptr<const Image>& image, int output,
                                  UniqueFd& input) {
  SessionRequest request;
  request.image = image;
  request.memory_size = std::size_t{64} << 20;
  request.timeout = std::chrono::seconds(100);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  input.Reset(ends[1]);
  for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
    auto& channel = request.channels.emplace_back();
    channel.spec.alias = alias;
    channel.spec.limits = {.gets = 9, .get_size = 9, .puts = 9, .put_size = 9};
    channel.is_stream = true;
  }
  request.channels[0].file.Reset(ends[0]);
  request.channels[1].file.Reset(fcntl(output, F_DUPFD_CLOEXEC, 0));
  request.channels[2].file.Reset(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto session = Session::Start(std::move(request));
  if (session) return std::move(*session);
  fmt::print(stderr, "idle_bench: {}\n", session.error().message);
  return nullptr;
}

// How many sessions say that they run.
bool WaitForAll(int said, std::size_t count) {
  std::array<char, 256> bytes{};
  while (count > 0) {
    pollfd ready{said, POLLIN, 0};
    constexpr int kPatience = 60000;
    if (poll(&ready, 1, kPatience) != 1) return false;
    const ssize_t got = read(said, bytes.data(), std::min(bytes.size(), count));
    if (got <= 0) return false;
    count -= static_cast<std::size_t>(got);
  }
  return true;
}

// What `count` sessions at once add to the memory in use; nothing if they could not be started.
bool Round(const std::shared_ptr<const Image>& image, std::size_t count, Memory& added) {
  int said[2];
  if (pipe2(said, O_CLOEXEC) != 0) return false;
  const UniqueFd hear(said[0]), say(said[1]);
  const Memory before = Look();
  std::vector<UniqueFd> inputs(count);
  std::vector<std::unique_ptr<Session>> sessions;
  sessions.reserve(count);
  for (UniqueFd& input : inputs) {
    sessions.push_back(StartOne(image, say.get(), input));
    if (sessions.back() == nullptr) return false;
  }
  if (!WaitForAll(hear.get(), count)) return false;
  const Memory during = Look();
  inputs.clear();  // the end of their input
  bool is_good = true;
  for (const auto& session : sessions) {
    is_good = session->Wait().cause == zerocloud::runtime::Cause::kExited && is_good;
  }
  const Memory after = Look();
  for (const auto& [kind, bytes] : during) {
    added[kind] = bytes - (before.at(kind) + after.at(kind)) / 2;
  }
  return is_good;
}

// The noise: as long a round that starts nothing.
Memory Control(std::chrono::steady_clock::duration duration) {
  const Memory before = Look();
  std::this_thread::sleep_for(duration / 2);
  const Memory during = Look();
  std::this_thread::sleep_for(duration / 2);
  const Memory after = Look();
  return {{"all", during.at("all") - (before.at("all") + after.at("all")) / 2}};
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::size_t Number(const char* text, std::size_t otherwise) {
  if (text == nullptr) return otherwise;
  std::size_t value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kSessions = 1000, kRounds = 5;
  const std::size_t count = Number(argc > 2 ? argv[2] : nullptr, kSessions);
  const std::size_t rounds = Number(argc > 3 ? argv[3] : nullptr, kRounds);
  if (argc < 2 || argc > 4 || count == 0 || rounds == 0) {
    fmt::print(stderr, "usage: {} GUEST [SESSIONS [ROUNDS]]\n", argv[0]);
    return 2;
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const UniqueFd file(open(argv[1], O_RDONLY | O_CLOEXEC));
  const auto image = Image::LoadFile(file.get());
  if (!image) {
    fmt::print(stderr, "idle_bench: {}: {}\n", argv[1], image.error().message);
    return 1;
  }
  std::map<std::string, std::vector<double>> figures;
  Memory added;
  if (!Round(*image, count, added)) return 1;  // what is made once and kept is not counted
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (!Round(*image, count, added)) return 1;
    const auto duration = std::chrono::steady_clock::now() - start;
    for (const auto& [kind, bytes] : added) figures[kind].push_back(bytes);
    figures["control"].push_back(Control(duration)["all"]);
  }
  std::string text = fmt::format("{{\"sessions\": {}", count);
  for (const auto& [kind, values] : figures) {
    text += fmt::format(", \"{}\": {:.0f}", kind, Median(values) / static_cast<double>(count));
  }
  fmt::print("{}}}\n", text);
}
