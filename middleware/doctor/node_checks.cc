// The cluster of this service: its keys, and the nodes of its list.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "middleware/doctor/checks.h"
#include "middleware/http/text.h"
#include "middleware/peer/key_file.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/greeting.h"

namespace zerocloud::doctor {
namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kNoticedDays = 7;
constexpr std::chrono::seconds kPatience{10};

// What a node told, against what is so here.
void Compare(const config::Config& config, const std::string& name, const remote::Hello& hello,
             std::int64_t asked, Findings& findings) {
  bool is_good = true;
  const auto warn = [&](State state, const std::string& found, const std::string& advice) {
    findings.push_back({"nodes", state, found, advice});
    is_good = false;
  };
  const std::int64_t ahead = SecondsAhead(static_cast<std::int64_t>(hello.time), asked);
  if (std::abs(ahead) > kNoticedSeconds) {
    warn(std::abs(ahead) > kHarmfulSeconds ? State::kWrong : State::kWarning,
         fmt::format("the clock of {} is {} seconds {} this host's", name, std::abs(ahead),
                     ahead < 0 ? "behind" : "ahead of"),
         "let NTP set both: keys begin and end by each machine's own clock");
  }
  struct Limit {
    std::string_view name;
    std::uint64_t theirs;
    std::uint64_t ours;
  };
  const job::JobLimits& ours = config.jobs;
  for (const Limit& limit :
       {Limit{"program_bytes", hello.program_bytes, ours.program_bytes},
        Limit{"memory_bytes", hello.memory_bytes, ours.memory_bytes},
        Limit{"timeout_seconds", hello.timeout_seconds, ours.timeout_seconds}}) {
    if (limit.theirs >= limit.ours) continue;
    warn(State::kWarning,
         fmt::format("jobs.{} of {} is {}, here it is {}", limit.name, name, limit.theirs,
                     limit.ours),
         "the same [jobs] on all machines: it refuses sessions that ask for more than its own");
  }
  if (!is_good) return;
  findings.push_back(
      {"nodes", State::kGood, fmt::format("{} answers and has {} slots", name, hello.slots), ""});
}

Result<remote::Hello> Ask(const config::Endpoint& node, peer::KeyFile& keys) {
  const peer::ConnectionLimits limits{.handshake = kPatience, .silence = kPatience};
  auto connection = peer::SecureConnection::Connect(node.host, node.port, keys, limits);
  if (!connection.has_value()) return Fail(connection);
  return remote::GreetNode(**connection, {}, kPatience);
}

}  // namespace

void CheckKeys(const config::Config& config, Findings& findings) {
  const std::string& path = config.nodes.key_file;
  if (path.empty()) {
    findings.push_back({"keys", State::kSkipped, "nodes.key_file is not set", ""});
    return;
  }
  const auto file = peer::KeyFile::Open(path);
  if (!file.has_value()) {
    findings.push_back({"keys", State::kWrong, file.error().message,
                        "a file with a line `id from until key` for each key, the same on all "
                        "machines, that only the service's user may read: chmod 600"});
    return;
  }
  const peer::Seconds now = (*file)->now();
  const auto keys = (*file)->Current();
  const peer::Key* const used = peer::ChooseKey(*keys, now);
  if (used == nullptr) {
    findings.push_back({"keys", State::kWrong,
                        fmt::format("none of the {} keys in {} is valid now", keys->size(), path),
                        "add one, on all machines; or correct this host's clock"});
    return;
  }
  const peer::Key* const later = peer::ChooseKey(*keys, now + kNoticedDays * kDay);
  if (later == nullptr) {
    findings.push_back({"keys", State::kWarning,
                        fmt::format("key \"{}\" ends within {} days, and no other follows",
                                    used->id, kNoticedDays),
                        "add one on all machines, and let this one end later than that begins"});
    return;
  }
  findings.push_back({"keys", State::kGood,
                      fmt::format("key \"{}\" is used, of {} in {}", used->id, keys->size(), path),
                      ""});
}

void CheckNodes(const config::Config& config, Findings& findings) {
  if (config.nodes.list.empty() && config.nodes.key_file.empty()) {
    findings.push_back({"nodes", State::kSkipped, "nodes.list is not set", ""});
    return;
  }
  if (IsNode(config)) {
    CheckAddress("nodes", "node.listen", config.node.listen, findings);
    return;
  }
  const auto keys = peer::KeyFile::Open(config.nodes.key_file);
  if (!keys.has_value()) {
    findings.push_back({"nodes", State::kSkipped, "the keys cannot be read", ""});
    return;
  }
  for (const std::string_view text : http::SplitTrimmed(config.nodes.list, ',')) {
    const std::string name(text);
    const Result<config::Endpoint> endpoint = config::ParseEndpoint(text);
    if (!endpoint.has_value()) {
      findings.push_back({"nodes", State::kWrong, "nodes.list: " + endpoint.error().message,
                          "address:port of each node, with commas between"});
      continue;
    }
    const std::int64_t asked = (*keys)->now();
    const Result<remote::Hello> hello = Ask(*endpoint, **keys);
    if (hello.has_value()) {
      Compare(config, name, *hello, asked, findings);
      continue;
    }
    findings.push_back({"nodes", State::kWrong, name + ": " + hello.error().message,
                        "start zerocloud node there, with the same key file as here; its log says "
                        "whom it refused and why"});
  }
}

}  // namespace zerocloud::doctor
