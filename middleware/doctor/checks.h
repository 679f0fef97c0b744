// The checks, each by itself. Private to this folder: Examine() calls them in this order.
#pragma once

#include <vector>

#include "middleware/config/config.h"
#include "middleware/doctor/doctor.h"

namespace zerocloud::doctor {

using Findings = std::vector<Finding>;

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

}  // namespace zerocloud::doctor
