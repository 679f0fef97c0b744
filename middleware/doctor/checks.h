// The checks, each by itself. Private to this folder: Examine() calls them in this order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "middleware/config/config.h"
#include "middleware/doctor/doctor.h"

namespace zerocloud::doctor {

using Findings = std::vector<Finding>;

// `zerocloud node` is the one that has keys and no list of nodes.
bool IsNode(const config::Config& config);

void CheckConfiguration(const config::Settings& settings, Findings& findings);
// Of this process and host (host_checks.cc).
void CheckUser(const config::Config& config, Findings& findings);
void CheckOpenFiles(const config::Config& config, Findings& findings);
void CheckSpool(const config::Config& config, Findings& findings);
void CheckControlGroups(const config::Config& config, Findings& findings);
void CheckSandbox(const config::Config& config, Findings& findings);
// What is listened on and sent to (service_checks.cc).
void CheckListen(const config::Config& config, Findings& findings);
void CheckTls(const config::Config& config, Findings& findings);
void CheckMetrics(const config::Config& config, Findings& findings);
void CheckStore(const config::Config& config, Findings& findings);
// Swift (swift_checks.cc). The first also compares the clocks.
void CheckUpstream(const config::Config& config, Findings& findings);
void CheckDevices(const config::Config& config, Findings& findings);
// Other machines (node_checks.cc). The second compares what nodes tell with what is so here.
void CheckKeys(const config::Config& config, Findings& findings);
void CheckNodes(const config::Config& config, Findings& findings);

// Whether `option`, with that value, can be listened on, as a finding of `check`.
void CheckAddress(const std::string& check, const std::string& option, const std::string& listen,
                  Findings& findings);
// By how many seconds a clock that showed `theirs` is ahead of this host's (below 0: behind), if
// it was read between `asked` and now.
std::int64_t SecondsAhead(std::int64_t theirs, std::int64_t asked);
inline constexpr std::int64_t kNoticedSeconds = 2;  // clocks are told in whole ones
inline constexpr std::int64_t kHarmfulSeconds = 60;

}  // namespace zerocloud::doctor
