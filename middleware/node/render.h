// Answers to jobs, as HTTP: docs/jobs.md is the manual of what stands here.
#pragma once

#include <string>
#include <string_view>

#include "middleware/http/message.h"
#include "middleware/node/job_result.h"

namespace zerocloud::node {

enum class AnswerForm : std::uint8_t {
  kPlain,   // the body is what the job wrote; an error is one line of text
  kJson,    // the same, but an error is a JSON object
  kReport,  // always a JSON object: the sessions, and the job's body inside it
};

inline constexpr std::string_view kReportType = "application/vnd.zerocloud.report+json";

// What an Accept header asks for: kReport if it names kReportType, kJson if it names
// application/json, else kPlain.
AnswerForm ChooseForm(std::string_view accept);

// The answer to a job that ran, or could not. `result` is consumed. Blocks on the spool when the
// form is kReport; at most kReportBodyBytes of the body stand in a report.
http::Response RenderResponse(JobResult result, AnswerForm form);
inline constexpr std::uint64_t kReportBodyBytes = 1024ULL * 1024;

// The answer to a job document that is none.
http::Response RenderError(const Error& error, AnswerForm form);

// kRejectedCode is 422; else what http::StatusOf says.
int StatusOf(ErrorCode code);

}  // namespace zerocloud::node
