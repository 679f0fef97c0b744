// Words for how a session ended. Private to this folder.
#pragma once

#include <span>
#include <string>

#include "middleware/node/job_run.h"

namespace zerocloud::node {

// "ok"; or one phrase without the session's name: "exit code 3", "signal 11 (SIGSEGV) at 0x401234
// (main+0x14)", "ran longer than its limit of 1000 ms".
std::string DescribeEnd(const runtime::SessionReport& report, std::chrono::milliseconds timeout);

// Why a session that did not exit with code 0 makes the job fail: who must act, and a sentence that
// names the session, its end, and every limit that it used up.
Error ExplainFailure(const std::string& session, const runtime::SessionReport& report,
                     std::chrono::milliseconds timeout, std::span<const ChannelBound> bounds);

// The limit that ended the session or that it used up, by its name: the key in the configuration,
// "timeout" of the group, or what bounded a channel. Empty: none.
std::string_view LimitHit(const runtime::SessionReport& report,
                          std::span<const ChannelBound> bounds);

SessionUsage SumUsage(const runtime::SessionReport& report);

}  // namespace zerocloud::node
