#include "middleware/node/render.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <vector>

#include "middleware/http/base64.h"
#include "middleware/http/reply.h"

namespace zerocloud::node {
namespace {

// Bytes of one X-Nexe-* header: many clients give up at 8 KiB.
constexpr std::size_t kHeaderBytes = 4096;

// Seconds after which it makes sense to ask again whoever was too busy.
constexpr std::string_view kRetryAfter = "5";

double Seconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1e6; }

// For a header: printable ASCII, and nothing that looks like the next item.
std::string HeaderItem(std::string_view text) {
  std::string item;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '%') {
      item += fmt::format("%{:02X}", byte);
    } else {
      item.push_back(c == ',' ? ';' : c);
    }
  }
  return item;
}

std::string EtagItem(const SessionOutcome& session) {
  std::string item;
  for (const StoredObject& stored : session.stored) {
    item += fmt::format("{}/dev/{} {}", item.empty() ? "" : " ", job::ToString(stored.device),
                        stored.etag);
  }
  return item.empty() ? "disabled" : item;
}

// ZeroCloud's ten numbers: system s, user s, then disk and network reads, bytes, writes, bytes.
std::string AccountingItem(const SessionOutcome& session) {
  const SessionUsage& usage = session.usage;
  return fmt::format("{:.2f} {:.2f} {} {} {} {} {} {} {} {}", Seconds(session.report.system_time),
                     Seconds(session.report.user_time), usage.disk_reads, usage.disk_read_bytes,
                     usage.disk_writes, usage.disk_written_bytes, usage.network_reads,
                     usage.network_read_bytes, usage.network_writes, usage.network_written_bytes);
}

// As a shell has it: 128 and the signal of one that did not exit by itself.
int Retcode(const SessionOutcome& session) {
  const runtime::SessionReport& report = session.report;
  if (session.end == SessionEnd::kNotStarted || report.cause == runtime::Cause::kForked) return 0;
  if (report.cause == runtime::Cause::kExited) return report.exit_code;
  return 128 + (report.signal != 0 ? report.signal : SIGKILL);
}

// One item per session in all lists; as many sessions as every list has room for.
void AddSessionHeaders(const JobResult& result, http::Headers& headers) {
  enum List : std::uint8_t { kSystem, kStatus, kRetcode, kEtag, kValidation, kCdr, kLists };
  constexpr std::array<std::string_view, kLists> kNames = {"X-Nexe-System",     "X-Nexe-Status",
                                                           "X-Nexe-Retcode",    "X-Nexe-Etag",
                                                           "X-Nexe-Validation", "X-Nexe-Cdr-Line"};
  std::array<std::string, kLists> lists;
  lists[kCdr] = fmt::format("{:.3f}, ", Seconds(result.wall_time));
  std::size_t shown = 0;
  for (const SessionOutcome& session : result.sessions) {
    const bool has_run = session.end != SessionEnd::kNotStarted;
    const std::array<std::string, kLists> items = {
        HeaderItem(session.name),
        HeaderItem(session.status),
        fmt::format("{}", Retcode(session)),
        EtagItem(session),
        has_run ? "0" : "2",
        fmt::format("{:.3f}, {}", Seconds(session.report.wall_time), AccountingItem(session))};
    bool has_room = true;
    for (std::size_t i = 0; i < kLists; ++i) {
      has_room = has_room && lists[i].size() + items[i].size() + 1 <= kHeaderBytes;
    }
    if (!has_room) break;
    for (std::size_t i = 0; i < kLists; ++i) {
      if (shown > 0) lists[i] += ',';
      lists[i] += items[i];
    }
    ++shown;
  }
  headers.Set("X-Nexe-Sessions", fmt::format("{}", result.sessions.size()));
  if (shown < result.sessions.size()) headers.Set("X-Nexe-Shown", fmt::format("{}", shown));
  if (shown == 0) return;
  for (std::size_t i = 0; i < kLists; ++i) headers.Set(kNames[i], lists[i]);
}

// JSON text is UTF-8; what guests write need not be. Invalid bytes become U+FFFD.
std::string ValidUtf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string valid;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    std::uint32_t smallest = 0;
    std::uint32_t code = lead;
    if (lead >= 0xf0 && lead < 0xf8) {
      length = 4, smallest = 0x10000, code = lead & 0x07U;
    } else if (lead >= 0xe0 && lead < 0xf0) {
      length = 3, smallest = 0x800, code = lead & 0x0fU;
    } else if (lead >= 0xc0 && lead < 0xe0) {
      length = 2, smallest = 0x80, code = lead & 0x1fU;
    }
    bool is_valid = (lead < 0x80 || length > 1) && i + length <= text.size();
    for (std::size_t k = 1; is_valid && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      is_valid = (next & 0xc0U) == 0x80;
      code = code << 6 | (next & 0x3fU);
    }
    is_valid = is_valid && code >= smallest && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    if (!is_valid) length = 1;
    valid += is_valid ? text.substr(i, length) : kReplacement;
    i += length;
  }
  return valid;
}

class Json {
 public:
  void Key(std::string_view key) {
    writer_.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
  }
  void Text(std::string_view key, std::string_view text) {
    const std::string valid = ValidUtf8(text);
    Key(key);
    writer_.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
  }
  void Number(std::string_view key, std::uint64_t number) {
    Key(key);
    writer_.Uint64(number);
  }
  auto& writer() { return writer_; }
  std::string Take() { return std::string(buffer_.GetString(), buffer_.GetSize()) + "\n"; }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

std::uint64_t Microseconds(std::chrono::microseconds time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

void WriteError(Json& json, const Error& error) {
  json.Key("error");
  json.writer().StartObject();
  json.Text("code", ToString(error.code));
  json.Text("message", error.message);
  json.writer().EndObject();
}

// Of each company, whether those of it that ran were on one node.
std::vector<bool> AreTogether(const std::vector<SessionOutcome>& sessions) {
  std::vector<bool> are_together;
  std::vector<const std::string*> places;
  for (const SessionOutcome& session : sessions) {
    if (!session.company) continue;
    if (*session.company >= places.size()) {
      are_together.resize(*session.company + 1, true);
      places.resize(*session.company + 1, nullptr);
    }
    if (session.end == SessionEnd::kNotStarted) continue;
    const std::string*& place = places[*session.company];
    if (place != nullptr && *place != session.node) are_together[*session.company] = false;
    place = &session.node;
  }
  return are_together;
}

void WriteSession(Json& json, const SessionOutcome& session,
                  const std::vector<bool>& are_together) {
  const runtime::SessionReport& report = session.report;
  const SessionUsage& usage = session.usage;
  json.writer().StartObject();
  json.Text("name", session.name);
  json.Text("end", ToString(session.end));
  json.Text("status", session.status);
  if (session.end != SessionEnd::kNotStarted) {
    json.Text("cause", runtime::ToString(report.cause));
    json.Key("exit");
    json.writer().Int(report.exit_code);
    if (report.signal != 0) {
      json.Number("signal", static_cast<std::uint64_t>(report.signal));
      json.Text("pc", fmt::format("0x{:x}", report.guest_pc));
      if (!report.symbol.empty()) json.Text("symbol", report.symbol);
    }
    json.Number("wall_us", Microseconds(report.wall_time));
    json.Number("cpu_us", Microseconds(report.user_time + report.system_time));
    if (report.peak_memory) json.Number("peak_memory_bytes", *report.peak_memory);
    if (!session.limit_hit.empty()) json.Text("limit_hit", session.limit_hit);
    json.Number("in_bytes", usage.disk_read_bytes + usage.network_read_bytes);
    json.Number("out_bytes", usage.disk_written_bytes + usage.network_written_bytes);
    json.Number("network_in_bytes", usage.network_read_bytes);
    json.Number("network_out_bytes", usage.network_written_bytes);
  }
  if (session.is_local || !session.why_not_local.empty()) {
    json.Key("local");
    json.writer().Bool(session.is_local);
    if (!session.is_local) json.Text("why_not_local", session.why_not_local);
  }
  if (session.is_mapped) {
    json.Key("mapped");
    json.writer().Bool(true);
  }
  if (!session.node.empty()) json.Text("node", session.node);
  if (session.company && session.end != SessionEnd::kNotStarted) {
    json.Key("colocated");
    json.writer().Bool(are_together[*session.company]);
  }
  if (!session.failed_nodes.empty()) {
    json.Key("failed_nodes");
    json.writer().StartArray();
    for (const std::string& failed : session.failed_nodes) {
      const std::string valid = ValidUtf8(failed);
      json.writer().String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
    }
    json.writer().EndArray();
  }
  if (!session.stored.empty()) {
    json.Key("stored");
    json.writer().StartArray();
    for (const StoredObject& stored : session.stored) {
      json.writer().StartObject();
      json.Text("device", job::ToString(stored.device));
      json.Text("path", stored.object.ToString());
      json.Number("bytes", stored.size);
      json.Text("etag", stored.etag);
      json.writer().EndObject();
    }
    json.writer().EndArray();
  }
  if (!session.stderr_tail.empty()) json.Text("stderr", session.stderr_tail);
  json.writer().EndObject();
}

void WriteSessions(Json& json, const JobResult& result) {
  if (result.failed_session) {
    json.Text("failed_session", result.sessions[*result.failed_session].name);
  }
  json.Number("wall_us", Microseconds(result.wall_time));
  if (std::ranges::any_of(result.sessions, [](const SessionOutcome& session) {
        return session.is_local || !session.why_not_local.empty();
      })) {
    json.Number("local_sessions", static_cast<std::uint64_t>(std::ranges::count(
                                      result.sessions, true, &SessionOutcome::is_local)));
  }
  json.Key("sessions");
  json.writer().StartArray();
  const std::vector<bool> are_together = AreTogether(result.sessions);
  for (const SessionOutcome& session : result.sessions) WriteSession(json, session, are_together);
  json.writer().EndArray();
}

http::Response JsonResponse(int status, std::string_view type, std::string text) {
  http::Response response;
  response.status = status;
  response.headers.Set("Content-Type", type);
  response.text = std::move(text);
  return response;
}

Result<std::string> ReadBody(JobResult& result) {
  std::string body(std::min(result.body_size, kReportBodyBytes), '\0');
  for (std::size_t done = 0; done < body.size();) {
    const std::span<char> rest = std::span(body).subspan(done);
    Result<std::size_t> got = result.body->Read(std::as_writable_bytes(rest));
    if (!got) return Fail(got);
    if (*got == 0) return Fail(ErrorCode::kInternal, "the response body ended early");
    done += *got;
  }
  return body;
}

http::Response RenderReport(JobResult& result) {
  Json json;
  json.writer().StartObject();
  if (result.error) WriteError(json, *result.error);
  WriteSessions(json, result);
  if (result.body != nullptr) {
    Result<std::string> body = ReadBody(result);
    if (!body) return RenderError(body.error(), AnswerForm::kJson);
    json.Number("body_bytes", result.body_size);
    if (body->size() < result.body_size) json.Number("body_shown", body->size());
    json.Text("content_type", result.content_type);
    if (ValidUtf8(*body) == *body) {
      json.Text("body", *body);
    } else {
      json.Text("body_base64", http::ToBase64(*body));
    }
  }
  json.writer().EndObject();
  const int status = result.error ? StatusOf(result.error->code) : 200;
  return JsonResponse(status, kReportType, json.Take());
}

// What a job that failed while its outputs were being stored leaves behind, or nothing.
std::string StoredText(const JobResult& result) {
  constexpr std::size_t kMost = 100;  // lines
  std::string text;
  std::size_t count = 0;
  for (const SessionOutcome& session : result.sessions) {
    for (const StoredObject& stored : session.stored) {
      if (count++ < kMost) text += fmt::format("{} {}\n", stored.object.ToString(), stored.etag);
    }
  }
  if (count == 0) return {};
  if (count > kMost) text += fmt::format("and {} more\n", count - kMost);
  return "\nobjects that were stored all the same:\n" + text;
}

// One line saying why, what was stored nevertheless, then the end of the failed session's stderr.
std::string ErrorText(const Error& error, const JobResult& result) {
  std::string text = error.message + "\n" + StoredText(result);
  if (!result.failed_session) return text;
  const SessionOutcome& session = result.sessions[*result.failed_session];
  if (session.stderr_tail.empty()) return text;
  text += fmt::format("\nstderr of {}:\n{}", session.name, session.stderr_tail);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace

AnswerForm ChooseForm(std::string_view accept) {
  if (accept.contains(kReportType)) return AnswerForm::kReport;
  return accept.contains("application/json") ? AnswerForm::kJson : AnswerForm::kPlain;
}

int StatusOf(ErrorCode code) {
  return code == ErrorCode::kRejectedCode ? 422 : http::StatusOf(code);
}

http::Response RenderError(const Error& error, AnswerForm form) {
  http::Response response;
  if (form == AnswerForm::kPlain) {
    response = http::TextResponse(StatusOf(error.code), error.message);
  } else {
    Json json;
    json.writer().StartObject();
    WriteError(json, error);
    json.writer().EndObject();
    response = JsonResponse(StatusOf(error.code), "application/json", json.Take());
  }
  if (response.status == 503) response.headers.Set("Retry-After", kRetryAfter);
  return response;
}

http::Response RenderResponse(JobResult result, AnswerForm form) {
  http::Response response;
  if (form == AnswerForm::kReport) {
    response = RenderReport(result);
  } else if (result.error && form == AnswerForm::kJson) {
    Json json;
    json.writer().StartObject();
    WriteError(json, *result.error);
    WriteSessions(json, result);
    json.writer().EndObject();
    response = JsonResponse(StatusOf(result.error->code), "application/json", json.Take());
  } else if (result.error) {
    response.status = StatusOf(result.error->code);
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
    response.text = ErrorText(*result.error, result);
  } else {
    response.headers.Set("Content-Type", result.content_type);
    response.body_size = result.body_size;
    response.body = std::move(result.body);
  }
  // A guest's bytes must not become a page of ours.
  response.headers.Set("X-Content-Type-Options", "nosniff");
  if (!result.sessions.empty()) AddSessionHeaders(result, response.headers);
  if (response.status == 503) response.headers.Set("Retry-After", kRetryAfter);
  if (result.error) {
    response.headers.Set("X-Nexe-Error", HeaderItem(result.error->message).substr(0, kHeaderBytes));
  }
  return response;
}

}  // namespace zerocloud::node
