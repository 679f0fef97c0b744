#include "middleware/remote/wire.h"

#include <algorithm>
#include <array>
#include <limits>

#include "channels/channel_parse.h"
#include "middleware/remote/json_reader.h"
#include "middleware/remote/json_writer.h"
#include "middleware/remote/wire_values.h"

namespace zerocloud::remote {
namespace {

// Values of a channel, those that bytes that are no text take besides among them.
constexpr std::size_t kOfferedChannelValues = 24;
constexpr std::size_t kReportedChannelValues = 10;
constexpr std::size_t kOfferValues = kFewValues + channels::kMaxChannels * kOfferedChannelValues;
constexpr std::size_t kReportValues = kFewValues + channels::kMaxChannels * kReportedChannelValues;

// A session ends a little later than its limit says.
constexpr std::uint64_t kLongestReportedUs = 2 * kLongestMs * 1000;

std::uint64_t U(std::int64_t number) { return number < 0 ? 0 : static_cast<std::uint64_t>(number); }

void WriteObject(JsonWriter& json, const OfferedChannel& channel) {
  WritePath(json, "account", channel.path);
  json.Number("random", channel.is_random ? 1 : 0)
      .Number("mapped", channel.is_mapped ? 1 : 0)
      .Number("local", channel.is_local_object ? 1 : 0);
  if (!channel.listed) return;
  json.Number("listed_ms_ago", U(channel.listed_ago.count()))
      .Number("bytes", channel.listed->size)
      .Text("etag", channel.listed->etag)
      .Text("content_type", channel.listed->content_type)
      .Text("timestamp", channel.listed->last_modified);
}

void ReadObject(JsonReader& reader, OfferedChannel& channel) {
  channel.path = ReadPath(reader, "account");
  channel.is_random = reader.Flag("random");
  channel.is_mapped = reader.Flag("mapped");
  channel.is_local_object = reader.Flag("local");
  if (reader.Maybe("listed_ms_ago") == nullptr) return;
  channel.listed_ago = std::chrono::milliseconds(reader.Number("listed_ms_ago", kLongestMs));
  channel.listed = store::ObjectInfo{.size = reader.Number("bytes"),
                                     .etag = reader.Text("etag", kNameBytes),
                                     .content_type = reader.Text("content_type", kMessageBytes),
                                     .last_modified = reader.Text("timestamp", kNameBytes),
                                     .metadata = {}};
}

bool IsStream(const OfferedChannel& channel) {
  return channel.source == Source::kRead || channel.source == Source::kWrite;
}

Result<OfferedChannel> ReadChannel(const job::JsonValue& value) {
  JsonReader reader(value, "channel");
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  OfferedChannel channel;
  channel.alias = reader.Text("alias", channels::kMaxAliasSize);
  channel.type = static_cast<channels::AccessType>(reader.Number("type", 3));
  channel.limits = {static_cast<std::int64_t>(reader.Number("gets", kMost)),
                    static_cast<std::int64_t>(reader.Number("get_bytes", kMost)),
                    static_cast<std::int64_t>(reader.Number("puts", kMost)),
                    static_cast<std::int64_t>(reader.Number("put_bytes", kMost))};
  channel.source = static_cast<Source>(reader.Number("source", 8));
  const bool is_held = channel.source == Source::kHeld;
  if (channel.source == Source::kBytes || is_held) channel.size = reader.Number("size", kMost);
  if (channel.source == Source::kObject) ReadObject(reader, channel);
  if (is_held || channel.source == Source::kHold) channel.hold = ReadId(reader, "hold");
  if (is_held) {
    channel.holder = reader.Text("holder", kNameBytes);
    channel.sha256 = ReadSha256(reader);
  }
  if (IsStream(channel)) {
    channel.stream = ReadId(reader, "stream");
    channel.peer = reader.Text("peer", kNameBytes);
  }
  const bool is_written = channel.source == Source::kOutput || channel.source == Source::kStderr ||
                          channel.source == Source::kHold || channel.source == Source::kWrite;
  const bool is_read = channel.source == Source::kObject || channel.source == Source::kBytes ||
                       is_held || channel.source == Source::kRead;
  const bool may_write = channel.limits.puts > 0 && channel.limits.put_size > 0;
  const bool may_read = channel.limits.gets > 0 && channel.limits.get_size > 0;
  if ((is_read && may_write) || (is_written && may_read)) {
    reader.Refuse("source", "does not fit what may be done with it");
  }
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return channel;
}

// All that must hold for a session's channels together.
Result<void> CheckChannels(const Offer& offer) {
  std::vector<channels::ChannelSpec> specs;
  for (const OfferedChannel& channel : offer.channels) {
    channels::ChannelSpec& spec = specs.emplace_back();
    spec.sources = {"/dev/null"};  // where it leads is not the offer's to say
    spec.alias = channel.alias;
    spec.type = channel.type;
    spec.limits = channel.limits;
  }
  const auto valid = channels::ValidateChannels(specs);
  if (!valid) return Fail(ErrorCode::kInvalid, "a wrong offer: " + valid.error().error.message);
  const bool is_sorted =
      std::ranges::is_sorted(offer.channels, [](const OfferedChannel& a, const OfferedChannel& b) {
        return channels::HandleLess(a.alias, b.alias);
      });
  if (!is_sorted) {
    return Fail(ErrorCode::kInvalid, "a wrong offer: its channels are not in their order");
  }
  return {};
}

constexpr std::array kCodes = {
    ErrorCode::kInvalid,       ErrorCode::kForbidden,   ErrorCode::kNotFound, ErrorCode::kConflict,
    ErrorCode::kLimitExceeded, ErrorCode::kUnavailable, ErrorCode::kTimeout,  ErrorCode::kCancelled,
    ErrorCode::kRejectedCode,  ErrorCode::kGuestFault,  ErrorCode::kInternal};

constexpr std::array kCauses = {
    runtime::Cause::kExited,    runtime::Cause::kFaulted,   runtime::Cause::kTimedOut,
    runtime::Cause::kKilled,    runtime::Cause::kChannelIo, runtime::Cause::kViolated,
    runtime::Cause::kHostError, runtime::Cause::kCpuLimit,  runtime::Cause::kMemoryLimit};

}  // namespace

std::string Encode(const Hello& hello) {
  JsonWriter json;
  json.Number("slots", hello.slots)
      .Number("sessions", hello.sessions)
      .Number("time", hello.time)
      .Number("program_bytes", hello.program_bytes)
      .Number("memory_bytes", hello.memory_bytes)
      .Number("timeout_seconds", hello.timeout_seconds);
  if (!hello.proxy.empty()) json.Text("proxy", hello.proxy);
  return json.Take();
}

Result<Hello> ParseHello(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "hello");
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  Hello hello{.slots = reader.Number("slots", 1'000'000),
              .sessions = reader.Number("sessions", 1'000'000),
              .time = reader.Number("time", kMost),
              .program_bytes = reader.Number("program_bytes", kMost),
              .memory_bytes = reader.Number("memory_bytes", kMost),
              .timeout_seconds = reader.Number("timeout_seconds", kMost)};
  if (reader.Maybe("proxy") != nullptr) hello.proxy = ReadId(reader, "proxy");
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return hello;
}

std::string Encode(const Offer& offer) {
  JsonWriter json;
  json.Text("session", offer.session);
  WriteCaller(json, offer.caller);
  json.Text("sha256", offer.sha256)
      .Number("program_bytes", offer.program_size)
      .Number("memory_bytes", offer.memory_size)
      .Number("timeout_ms", U(offer.timeout.count()))
      .Number("cpu_limit_us", U(offer.cpu_limit.count()))
      .Number("resident_bytes", offer.memory_limit)
      .Number("stderr_tail_bytes", offer.stderr_tail_bytes)
      .Number("nvram_bytes", offer.nvram_bytes)
      .Number("gang", offer.is_of_gang ? 1 : 0);
  json.OpenList("channels");
  for (const OfferedChannel& channel : offer.channels) {
    json.OpenObject();
    json.Text("alias", channel.alias)
        .Number("type", static_cast<std::uint64_t>(channel.type))
        .Number("gets", U(channel.limits.gets))
        .Number("get_bytes", U(channel.limits.get_size))
        .Number("puts", U(channel.limits.puts))
        .Number("put_bytes", U(channel.limits.put_size))
        .Number("source", static_cast<std::uint64_t>(channel.source));
    const bool is_held = channel.source == Source::kHeld;
    if (channel.source == Source::kBytes || is_held) json.Number("size", channel.size);
    if (channel.source == Source::kObject) WriteObject(json, channel);
    if (is_held || channel.source == Source::kHold) json.Text("hold", channel.hold);
    if (is_held) json.Text("holder", channel.holder).Text("sha256", channel.sha256);
    if (IsStream(channel)) json.Text("stream", channel.stream).Text("peer", channel.peer);
    json.CloseObject();
  }
  json.CloseList();
  return json.Take();
}

Result<Offer> ParseOffer(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json, kOfferValues);
  if (!value) return Fail(value);
  JsonReader reader(*value, "offer");
  Offer offer;
  offer.session = reader.Text("session", kNameBytes);
  offer.caller = ReadCaller(reader);
  offer.sha256 = ReadSha256(reader);
  offer.program_size = reader.Number("program_bytes");
  offer.memory_size = reader.Number("memory_bytes");
  offer.timeout = std::chrono::milliseconds(reader.Number("timeout_ms", kLongestMs));
  if (offer.timeout.count() == 0) reader.Refuse("timeout_ms", "is 0");
  offer.cpu_limit = std::chrono::microseconds(reader.Number("cpu_limit_us", kLongestMs * 1000));
  offer.memory_limit = reader.Number("resident_bytes");
  offer.stderr_tail_bytes = reader.Number("stderr_tail_bytes", kTailBytes);
  offer.nvram_bytes = reader.Number("nvram_bytes", kTailBytes);
  offer.is_of_gang = reader.Flag("gang");
  for (const job::JsonValue& element : reader.List("channels", channels::kMaxChannels)) {
    Result<OfferedChannel> channel = ReadChannel(element);
    if (!channel) return Fail(channel);
    if (IsStream(*channel) && !offer.is_of_gang) {
      reader.Refuse("channels", "have a stream, and the session is of no gang");
    }
    offer.channels.push_back(std::move(*channel));
  }
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  if (Result<void> checked = CheckChannels(offer); !checked) return Fail(checked);
  return offer;
}

std::string Encode(const Accepted& accepted) {
  return JsonWriter().Number("needs_program", accepted.needs_program ? 1 : 0).Take();
}

Result<Accepted> ParseAccepted(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "acceptance");
  const Accepted accepted{reader.Flag("needs_program")};
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return accepted;
}

std::string Encode(const StreamEnd& end) {
  return JsonWriter()
      .Number("channel", end.channel)
      .Number("size", end.size)
      .Text("sha256", end.sha256)
      .Take();
}

Result<StreamEnd> ParseStreamEnd(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "digest");
  StreamEnd end;
  end.channel = static_cast<std::uint32_t>(reader.Number("channel", kProgramChannel));
  end.size = reader.Number("size");
  end.sha256 = ReadSha256(reader);
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return end;
}

std::string Encode(const EndReport& end) {
  const runtime::SessionReport& report = end.report;
  JsonWriter json;
  json.Text("cause", runtime::ToString(report.cause))
      .Number("exit", static_cast<std::uint32_t>(report.exit_code))
      .Number("signal", U(report.signal))
      .Number("pc", report.guest_pc)
      .Number("address", report.fault_address)
      .Text("symbol", report.symbol)
      .Number("errno", U(report.host_errno))
      .Text("message", report.message)
      .Number("wall_us", U(report.wall_time.count()))
      .Number("user_us", U(report.user_time.count()))
      .Number("system_us", U(report.system_time.count()))
      .Number("layers", report.layers)
      .Number("has_objects", end.has_objects ? 1 : 0)
      .Number("local", end.is_local ? 1 : 0)
      .Text("why_not_local", end.why_not_local)
      .Text("stderr", end.stderr_tail);
  if (report.peak_memory) json.Number("peak_memory_bytes", *report.peak_memory);
  json.OpenList("channels");
  for (std::size_t i = 0; i < report.channels.size(); ++i) {
    const runtime::ChannelUsage& usage = report.channels[i];
    json.OpenObject();
    json.Text("alias", usage.alias)
        .Number("gets", usage.gets)
        .Number("get_bytes", usage.get_bytes)
        .Number("puts", usage.puts)
        .Number("put_bytes", usage.put_bytes)
        .Number("size", usage.size)
        .Number("get_limit", usage.hit_get_limit ? 1 : 0)
        .Number("put_limit", usage.hit_put_limit ? 1 : 0);
    if (i < end.digests.size() && !end.digests[i].empty()) json.Text("sha256", end.digests[i]);
    json.CloseObject();
  }
  json.CloseList();
  return json.Take();
}

Result<EndReport> ParseEndReport(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json, kReportValues);
  if (!value) return Fail(value);
  JsonReader reader(*value, "report");
  EndReport end;
  runtime::SessionReport& report = end.report;
  const std::string cause = reader.Text("cause", kNameBytes);
  const auto* known = std::ranges::find_if(
      kCauses, [&](runtime::Cause each) { return runtime::ToString(each) == cause; });
  if (known == kCauses.end()) {
    reader.Refuse("cause", "is none");
  } else {
    report.cause = *known;
  }
  report.exit_code = static_cast<std::int32_t>(
      static_cast<std::uint32_t>(reader.Number("exit", std::numeric_limits<std::uint32_t>::max())));
  report.signal = static_cast<int>(reader.Number("signal", 64));
  report.guest_pc = reader.Number("pc");
  report.fault_address = reader.Number("address");
  report.symbol = reader.Text("symbol", kMessageBytes);
  report.host_errno = static_cast<int>(reader.Number("errno", 4095));
  report.message = reader.Text("message", kMessageBytes);
  report.wall_time = std::chrono::microseconds(reader.Number("wall_us", kLongestReportedUs));
  report.user_time = std::chrono::microseconds(reader.Number("user_us", kLongestReportedUs));
  report.system_time = std::chrono::microseconds(reader.Number("system_us", kLongestReportedUs));
  report.layers = static_cast<std::uint32_t>(
      reader.Number("layers", std::numeric_limits<std::uint32_t>::max()));
  end.has_objects = reader.Flag("has_objects");
  end.is_local = reader.Flag("local");
  end.why_not_local = reader.Text("why_not_local", kMessageBytes);
  end.stderr_tail = reader.Text("stderr", kTailBytes);
  if (reader.Maybe("peak_memory_bytes") != nullptr) {
    report.peak_memory = reader.Number("peak_memory_bytes");
  }
  for (const job::JsonValue& element : reader.List("channels", channels::kMaxChannels)) {
    JsonReader member(element, "channel of a report");
    runtime::ChannelUsage& usage = report.channels.emplace_back();
    usage.alias = member.Text("alias", channels::kMaxAliasSize);
    usage.gets = member.Number("gets");
    usage.get_bytes = member.Number("get_bytes");
    usage.puts = member.Number("puts");
    usage.put_bytes = member.Number("put_bytes");
    usage.size = member.Number("size");
    usage.hit_get_limit = member.Flag("get_limit");
    usage.hit_put_limit = member.Flag("put_limit");
    const bool is_held = member.Maybe("sha256") != nullptr;
    end.digests.push_back(is_held ? ReadSha256(member) : std::string());
    if (Result<void> checked = member.Check(); !checked) return Fail(checked);
  }
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return end;
}

std::string Encode(const Failure& failure) {
  JsonWriter json;
  json.Text("code", ToString(failure.error.code))
      .Text("message", std::string_view(failure.error.message).substr(0, kMessageBytes))
      .Text("alias", failure.alias);
  if (!failure.lost.empty()) WriteIds(json, "lost", failure.lost);
  if (failure.is_busy) json.Number("busy", 1);
  return json.Take();
}

Result<Failure> ParseFailure(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json, kFewValues + channels::kMaxChannels);
  if (!value) return Fail(value);
  JsonReader reader(*value, "failure");
  Failure failure;
  const std::string code = reader.Text("code", kNameBytes);
  const auto* known =
      std::ranges::find_if(kCodes, [&](ErrorCode each) { return ToString(each) == code; });
  if (known == kCodes.end()) {
    reader.Refuse("code", "is none");
  } else {
    failure.error.code = *known;
  }
  failure.error.message = reader.Text("message", kMessageBytes);
  failure.alias = reader.Text("alias", channels::kMaxAliasSize);
  if (reader.Maybe("lost") != nullptr) {
    failure.lost = ReadIds(reader, "lost", channels::kMaxChannels);
  }
  if (reader.Maybe("busy") != nullptr) failure.is_busy = reader.Flag("busy");
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return failure;
}

}  // namespace zerocloud::remote
