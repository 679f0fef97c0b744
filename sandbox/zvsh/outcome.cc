#include "sandbox/zvsh/outcome.h"

#include <fmt/format.h>
#include <rapidjson/reader.h>

#include <array>
#include <limits>

namespace zerocloud::zvsh {
namespace {

// Keeps the few members that matter: of the report itself (depth 1) and of its "session" (2).
class Handler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Handler> {
 public:
  explicit Handler(Outcome& outcome) : outcome_(outcome) {}

  bool StartObject() {
    if (depth_ == 1 && key_ == "session") is_session_ = true;
    return ++depth_ < kMaxDepth;
  }
  bool EndObject(rapidjson::SizeType /*count*/) {
    if (--depth_ == 1) is_session_ = false;
    return true;
  }
  bool StartArray() { return ++depth_ < kMaxDepth; }
  bool EndArray(rapidjson::SizeType /*count*/) {
    --depth_;
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    key_.assign(text, size);
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    if (depth_ == 1 && key_ == "state") outcome_.state.assign(text, size);
    if (depth_ == 2 && is_session_ && key_ == "cause") outcome_.cause.assign(text, size);
    return true;
  }
  bool Int(int value) { return Number(value); }
  bool Uint(unsigned value) { return Number(value); }
  bool Int64(std::int64_t value) { return Number(value); }
  bool Uint64(std::uint64_t value) {
    return value > std::numeric_limits<std::int64_t>::max() ||
           Number(static_cast<std::int64_t>(value));
  }

 private:
  static constexpr int kMaxDepth = 32;

  bool Number(std::int64_t value) {
    if (depth_ == 1 && key_ == "status") {
      outcome_.host_status = static_cast<int>(value);
      has_status_ = true;
    }
    if (depth_ == 2 && is_session_ && key_ == "exit_code") outcome_.exit_code = value;
    if (depth_ == 2 && is_session_ && key_ == "signal") outcome_.signal = static_cast<int>(value);
    return true;
  }

  Outcome& outcome_;
  std::string key_;
  int depth_ = 0;
  bool is_session_ = false;

 public:
  bool has_status_ = false;
};

}  // namespace

Result<Outcome> ReadOutcome(std::string_view report) {
  Outcome outcome;
  Handler handler(outcome);
  const std::string text(report);
  rapidjson::StringStream stream(text.c_str());
  rapidjson::Reader reader;
  reader.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseStopWhenDoneFlag>(stream, handler);
  if (reader.HasParseError() || !handler.has_status_) {
    return Fail(ErrorCode::kInvalid, "zerovm gave no report");
  }
  return outcome;
}

Verdict JudgeOutcome(const Outcome& outcome) {
  const auto sentence = [&outcome] {
    return fmt::format("{}\nERROR: ZeroVM return code is {}", outcome.state, outcome.host_status);
  };
  if (outcome.cause == "timed_out") return {kStatusTimedOut, sentence()};
  if (outcome.cause == "faulted" && outcome.signal > 0 && outcome.signal < 32) {
    return {kStatusSignal + outcome.signal, sentence()};
  }
  if (outcome.host_status != 0) {
    const int status = kStatusHost + outcome.host_status;
    const bool has_own = status > kStatusHost && status < kStatusHostLarger;
    return {has_own ? status : kStatusHostLarger, sentence()};
  }
  const std::int64_t code = outcome.exit_code;
  if ((code >= 0 && code < kStatusTimedOut) || (code >= kFirstFreeStatus && code < 256)) {
    return {static_cast<int>(code), ""};
  }
  return {kStatusOtherCode, fmt::format("the guest exited with {}", code)};
}

}  // namespace zerocloud::zvsh
