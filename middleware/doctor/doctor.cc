#include "middleware/doctor/doctor.h"

#include <fmt/format.h>

#include <algorithm>

#include "middleware/doctor/checks.h"
#include "middleware/http/text.h"

namespace zerocloud::doctor {

std::string_view ToString(State state) {
  switch (state) {
    case State::kGood:
      return "ok";
    case State::kWarning:
      return "warning";
    case State::kWrong:
      return "wrong";
    case State::kSkipped:
      break;
  }
  return "skipped";
}

std::vector<std::string_view> CheckNames() {
  return {"configuration", "user",    "open files", "spool",  "control groups", "sandbox",
          "listen",        "tls",     "metrics",    "statsd", "store",          "upstream",
          "clock",         "devices", "keys",       "nodes"};
}

bool IsNode(const config::Config& config) {
  return !config.nodes.key_file.empty() && config.nodes.list.empty();
}

void CheckConfiguration(const config::Settings& settings, Findings& findings) {
  const std::size_t before = findings.size();
  for (const std::string& warning : settings.warnings) {
    findings.push_back({"configuration", State::kWarning, warning,
                        "correct it: it does not say what somebody meant"});
  }
  if (const auto unused = config::UnusedByNode(settings);
      IsNode(settings.config) && !unused.empty()) {
    findings.push_back({"configuration", State::kWarning,
                        fmt::format("a node does not use {}", fmt::join(unused, ", ")),
                        "nothing, if zerocloud serve reads this file, too; else take them out"});
  }
  if (findings.size() > before) return;
  findings.push_back({"configuration", State::kGood,
                      fmt::format("{} options are set", settings.origins.size()), ""});
}

std::vector<Finding> Examine(const config::Settings& settings) {
  Findings findings;
  CheckConfiguration(settings, findings);
  for (const auto check :
       {CheckUser, CheckOpenFiles, CheckSpool, CheckControlGroups, CheckSandbox, CheckListen,
        CheckTls, CheckMetrics, CheckStore, CheckUpstream, CheckDevices, CheckKeys, CheckNodes}) {
    check(settings.config, findings);
  }
  return findings;
}

std::vector<Finding> ConfigurationIsWrong(const std::string& message) {
  return {{"configuration", State::kWrong, message,
           "correct it; `zerocloud serve --check-config` says the same"}};
}

bool IsWell(const std::vector<Finding>& findings) {
  return std::ranges::none_of(
      findings, [](const Finding& finding) { return finding.state == State::kWrong; });
}

std::string ToText(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<8} {:<14} {}\n", ToString(finding.state), finding.check, finding.found);
    if (!finding.advice.empty()) text += fmt::format("{:<23} -> {}\n", "", finding.advice);
  }
  return text;
}

std::string ToJson(const std::vector<Finding>& findings) {
  std::string rows;
  for (const Finding& finding : findings) {
    rows += fmt::format("{}\n  {{\"check\": {}, \"state\": {}, \"found\": {}, \"advice\": {}}}",
                        rows.empty() ? "" : ",", http::JsonQuoted(finding.check),
                        http::JsonQuoted(ToString(finding.state)), http::JsonQuoted(finding.found),
                        http::JsonQuoted(finding.advice));
  }
  return fmt::format("{{\"well\": {}, \"findings\": [{}\n]}}\n", IsWell(findings), rows);
}

}  // namespace zerocloud::doctor
