#include "sandbox/runtime/report.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <utility>

#include "channels/channel_parse.h"
#include "channels/network/wire.h"
#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

using channels::HostStatus;
using JsonWriter = rapidjson::Writer<rapidjson::StringBuffer>;

// A report is read line by line, so what comes from a manifest may not break its lines.
std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if ((c >= 0 && c < ' ') || c == 0x7f) c = '?';
  }
  return line;
}

double Seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::string_view Name(ValidatorState state) {
  switch (state) {
    case ValidatorState::kPassed:
      return "passed";
    case ValidatorState::kFailed:
      return "failed";
    case ValidatorState::kNotRun:
      return "not_run";
  }
  return "not_run";
}

std::string_view Name(channels::DigestKind kind) {
  if (kind == channels::DigestKind::kSha256) return "sha256";
  return kind == channels::DigestKind::kMd5 ? "md5" : "sha1";
}

std::string Digests(const SessionReport& session) {
  std::string line;
  const auto add = [&line](std::string_view name, const std::string& digest) {
    line += fmt::format("{}{} {}", line.empty() ? "" : " ", name, digest);
  };
  for (const ChannelUsage& channel : session.channels) {
    if (channel.digest) add(channel.alias, *channel.digest);
  }
  if (session.memory_digest) add("/dev/memory", *session.memory_digest);
  return line.empty() ? "disabled" : line;
}

// The length of the UTF-8 sequence at the start of `text`, or 0 if there is none.
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  // Too long a form, a surrogate, or above U+10FFFF.
  const unsigned second = byte(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return length;
}

void PutString(JsonWriter& writer, std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    valid += length > 0 ? text.substr(0, length) : std::string_view("\xef\xbf\xbd");
    text.remove_prefix(length > 0 ? length : 1);
  }
  writer.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
}

void PutText(JsonWriter& writer, const char* key, std::string_view text) {
  writer.Key(key);
  PutString(writer, text);
}

void PutNumber(JsonWriter& writer, const char* key, std::uint64_t number) {
  writer.Key(key);
  writer.Uint64(number);
}

void PutHex(JsonWriter& writer, const char* key, std::uint64_t address) {
  PutText(writer, key, fmt::format("{:#x}", address));
}

std::uint64_t Microseconds(std::chrono::microseconds time) {
  return static_cast<std::uint64_t>(time.count());
}

void PutSources(JsonWriter& writer, const char* key, std::uint32_t sources) {
  writer.Key(key);
  writer.StartArray();
  for (unsigned i = 0; i < 32; ++i) {
    if ((sources >> i & 1U) != 0) writer.Uint(i);
  }
  writer.EndArray();
}

void PutChannel(JsonWriter& writer, const ChannelUsage& usage, const channels::ChannelSpec* spec,
                const std::vector<MappedAlias>& all_mapped) {
  writer.StartObject();
  PutText(writer, "alias", usage.alias);
  const auto mapped = std::ranges::find(all_mapped, usage.alias, &MappedAlias::alias);
  if (mapped != all_mapped.end()) {
    PutText(writer, "mapped", mapped->is_immutable ? "immutable" : "copied");
  }
  PutNumber(writer, "gets", usage.gets);
  PutNumber(writer, "get_bytes", usage.get_bytes);
  PutNumber(writer, "puts", usage.puts);
  PutNumber(writer, "put_bytes", usage.put_bytes);
  PutNumber(writer, "size", usage.size);
  if (usage.digest) PutText(writer, "digest", *usage.digest);
  if (usage.source_count > 1) {
    PutNumber(writer, "sources", usage.source_count);
    PutSources(writer, "failed_sources", usage.failed_sources);
    PutSources(writer, "outvoted_sources", usage.outvoted_sources);
  }
  if (spec != nullptr) {
    writer.Key("limits");
    writer.StartObject();
    writer.Key("gets");
    writer.Int64(spec->limits.gets);
    writer.Key("get_size");
    writer.Int64(spec->limits.get_size);
    writer.Key("puts");
    writer.Int64(spec->limits.puts);
    writer.Key("put_size");
    writer.Int64(spec->limits.put_size);
    writer.EndObject();
  }
  writer.EndObject();
}

// `alias` is empty for a limit of the session.
void PutLimitHit(JsonWriter& writer, std::string_view alias, const char* limit,
                 std::int64_t value) {
  writer.StartObject();
  if (!alias.empty()) PutText(writer, "channel", alias);
  PutText(writer, "limit", limit);
  writer.Key("value");
  writer.Int64(value);
  writer.EndObject();
}

void PutLimitsHit(JsonWriter& writer, const SessionReport& session, const RunReport& report) {
  const std::vector<ChannelUsage>& usages = session.channels;
  const std::vector<channels::ChannelSpec>& specs = report.channels;
  writer.Key("limits_hit");
  writer.StartArray();
  if (session.cause == Cause::kTimedOut && report.timeout_seconds > 0) {
    PutLimitHit(writer, "", "timeout", report.timeout_seconds);
  }
  if (session.cause == Cause::kCpuLimit) {
    PutLimitHit(writer, "", "cpu_us", report.cpu_limit.count());
  }
  if (session.cause == Cause::kMemoryLimit) {
    PutLimitHit(writer, "", "resident_bytes", static_cast<std::int64_t>(report.memory_limit));
  }
  for (std::size_t i = 0; i < usages.size() && i < specs.size(); ++i) {
    const ChannelUsage& usage = usages[i];
    const channels::ChannelLimits& limits = specs[i].limits;
    // Which of the two it was: the operations if they are used up, else the bytes.
    if (usage.hit_get_limit) {
      const bool is_count = std::cmp_greater_equal(usage.gets, limits.gets);
      PutLimitHit(writer, usage.alias, is_count ? "gets" : "get_size",
                  is_count ? limits.gets : limits.get_size);
    }
    if (usage.hit_put_limit) {
      const bool is_count = std::cmp_greater_equal(usage.puts, limits.puts);
      PutLimitHit(writer, usage.alias, is_count ? "puts" : "put_size",
                  is_count ? limits.puts : limits.put_size);
    }
  }
  writer.EndArray();
}

// The operations of all channels, each source counted; network apart from local.
struct Accounting {
  ChannelUsage local, network;
};

Accounting Account(const RunReport& report) {
  Accounting all;
  if (!report.session) return all;
  const std::vector<ChannelUsage>& usages = report.session->channels;
  for (std::size_t i = 0; i < usages.size(); ++i) {
    const std::size_t sources = i < report.channels.size() ? report.channels[i].sources.size() : 1;
    for (std::size_t k = 0; k < std::max<std::size_t>(sources, 1); ++k) {
      const bool is_network =
          k < sources && i < report.channels.size() &&
          channels::ParseNetworkSource(report.channels[i].sources[k]).has_value();
      ChannelUsage& total = is_network ? all.network : all.local;
      total.gets += usages[i].gets;
      total.get_bytes += usages[i].get_bytes;
      total.puts += usages[i].puts;
      total.put_bytes += usages[i].put_bytes;
    }
  }
  for (const network::LinkReport& link : report.links) {
    all.network.gets += (link.drained + network::kMaxFrameSize - 1) / network::kMaxFrameSize;
    all.network.get_bytes += link.drained;
  }
  return all;
}

void PutCounters(JsonWriter& writer, const char* key, const ChannelUsage& total) {
  writer.Key(key);
  writer.StartObject();
  PutNumber(writer, "reads", total.gets);
  PutNumber(writer, "read_bytes", total.get_bytes);
  PutNumber(writer, "writes", total.puts);
  PutNumber(writer, "written_bytes", total.put_bytes);
  writer.EndObject();
}

void PutVerdict(JsonWriter& writer, const RunReport& report) {
  writer.Key("program");
  writer.StartObject();
  PutText(writer, "sha256", report.program_digest);
  writer.Key("cached_verdict");
  writer.Bool(report.is_cached_verdict);
  writer.EndObject();
}

// What the manifest and the command line allow.
void PutLimits(JsonWriter& writer, const RunReport& report) {
  writer.Key("limits");
  writer.StartObject();
  PutNumber(writer, "memory_bytes", report.memory_size);
  PutNumber(writer, "timeout_s", static_cast<std::uint64_t>(report.timeout_seconds));
  if (report.cpu_limit.count() > 0) PutNumber(writer, "cpu_us", Microseconds(report.cpu_limit));
  if (report.memory_limit > 0) PutNumber(writer, "resident_bytes", report.memory_limit);
  writer.EndObject();
}

void PutLinks(JsonWriter& writer, const RunReport& report) {
  writer.Key("links");
  writer.StartArray();
  for (const network::LinkReport& link : report.links) {
    writer.StartObject();
    PutText(writer, "source", SourceName(report, link.channel, link.source));
    PutText(writer, "direction", link.is_reader ? "in" : "out");
    PutNumber(writer, "bytes", link.bytes);
    if (link.is_reader) PutNumber(writer, "drained_bytes", link.drained);
    if (link.is_complete) PutText(writer, "sha256", link.digest);
    if (!link.is_complete) PutText(writer, "error", link.error);
    writer.EndObject();
  }
  writer.EndArray();
}

std::string CallText(const TracedCall& call) {
  const auto& [a, b, c, d] = call.arguments;
  std::string text;
  switch (call.number) {
    case ZVM_CALL_PREAD:
    case ZVM_CALL_PWRITE:
      text =
          fmt::format("{}({}, {:#x}, {}, {})", call.number == ZVM_CALL_PREAD ? "pread" : "pwrite",
                      static_cast<std::int32_t>(a), b, static_cast<std::int64_t>(c),
                      static_cast<std::int64_t>(d));
      break;
    case ZVM_CALL_JAIL:
    case ZVM_CALL_UNJAIL:
      text = fmt::format("{}({:#x}, {})", call.number == ZVM_CALL_JAIL ? "jail" : "unjail", a, b);
      break;
    case ZVM_CALL_EXIT:
      return fmt::format("exit({})", static_cast<std::int32_t>(a));
    case ZVM_CALL_FORK:
      text = "fork()";
      break;
    default:
      text = fmt::format("{:#x}({:#x}, {:#x}, {:#x}, {:#x})", call.number, a, b, c, d);
  }
  return text + (call.end ? fmt::format(" = {}", call.result) : " ended the session");
}

void PutSession(JsonWriter& writer, const SessionReport& session, const RunReport& report) {
  const std::vector<channels::ChannelSpec>& specs = report.channels;
  writer.Key("session");
  writer.StartObject();
  PutText(writer, "cause", ToString(session.cause));
  if (session.cause == Cause::kExited) {
    writer.Key("exit_code");
    writer.Int(session.exit_code);
  }
  if (session.signal != 0) {
    writer.Key("signal");
    writer.Int(session.signal);
  }
  if (session.cause == Cause::kFaulted) {
    PutHex(writer, "pc", session.guest_pc);
    PutHex(writer, "fault_address", session.fault_address);
    if (!session.symbol.empty()) PutText(writer, "symbol", session.symbol);
  }
  if (!session.message.empty()) PutText(writer, "message", session.message);
  PutLimitsHit(writer, session, report);
  PutNumber(writer, "system_time_us", Microseconds(session.system_time));
  PutNumber(writer, "user_time_us", Microseconds(session.user_time));
  PutNumber(writer, "wall_time_us", Microseconds(session.wall_time));
  if (session.peak_memory) PutNumber(writer, "peak_memory_bytes", *session.peak_memory);
  if (session.layers != 0) {
    writer.Key("layers");
    writer.StartArray();
    for (const std::string_view layer : LayerNames(session.layers)) {
      writer.String(layer.data(), static_cast<rapidjson::SizeType>(layer.size()));
    }
    writer.EndArray();
  }
  const Accounting all = Account(report);
  PutCounters(writer, "local", all.local);
  PutCounters(writer, "network", all.network);
  PutText(writer, "digest_kind", Name(report.digest_kind));
  if (session.memory_digest) PutText(writer, "memory_digest", *session.memory_digest);
  writer.Key("channels");
  writer.StartArray();
  for (std::size_t i = 0; i < session.channels.size(); ++i) {
    PutChannel(writer, session.channels[i], i < specs.size() ? &specs[i] : nullptr, report.mapped);
  }
  writer.EndArray();
  writer.EndObject();
}

// ZeroVM took SIGXFSZ for that; here it is an errno (zerovm ignores the signal).
bool IsDiskQuota(const SessionReport& session) {
  return session.cause == Cause::kChannelIo && session.host_errno == EFBIG;
}

}  // namespace

std::string_view CauseOf(const SessionReport& session) {
  return IsDiskQuota(session) ? kCauseDiskQuota : ToString(session.cause);
}

HostStatus StatusOf(const SessionReport& session) {
  switch (session.cause) {
    case Cause::kExited:
    case Cause::kForked:
      return HostStatus::kOk;
    case Cause::kFaulted:
    case Cause::kTimedOut:
    case Cause::kKilled:
    case Cause::kViolated:
    case Cause::kCpuLimit:
    case Cause::kMemoryLimit:
      return HostStatus::kInterrupted;
    case Cause::kChannelIo:
      return IsDiskQuota(session) ? HostStatus::kInterrupted : HostStatus::kIo;
    case Cause::kHostError:
      return HostStatus::kIo;
  }
  return HostStatus::kIo;
}

std::string StateOf(const SessionReport& session) {
  switch (session.cause) {
    case Cause::kExited:
    case Cause::kForked:
      return "ok";
    case Cause::kTimedOut:
      return "session timeout";
    case Cause::kFaulted: {
      if (session.guest_pc == 0 && !session.message.empty()) return session.message;
      std::string state = fmt::format("Signal {} from untrusted code: Halting at {:#x}",
                                      session.signal, session.guest_pc);
      if (!session.symbol.empty()) state += fmt::format(" ({})", session.symbol);
      return state;
    }
    case Cause::kChannelIo:
      if (IsDiskQuota(session)) return "disk quota exceeded";
      break;
    case Cause::kKilled:
    case Cause::kViolated:
    case Cause::kHostError:
    case Cause::kCpuLimit:
    case Cause::kMemoryLimit:
      break;
  }
  return session.message.empty() ? std::string(ToString(session.cause)) : session.message;
}

std::string SourceName(const RunReport& report, std::size_t channel, std::size_t source) {
  const std::string_view alias =
      channel < report.channels.size() ? std::string_view(report.channels[channel].alias) : "";
  return fmt::format("{};{}", alias, source);
}

std::string RenderText(const RunReport& report) {
  const SessionReport none{};
  const SessionReport& session = report.session ? *report.session : none;
  const Accounting all = Account(report);
  return fmt::format("{}\n{}\n{}\n{}\n{:.2f} {:.2f} {} {} {} {} {} {} {} {}\n{}\n\n",
                     static_cast<int>(report.validator), report.is_daemon ? 1 : 0,
                     session.exit_code, Digests(session), Seconds(session.system_time),
                     Seconds(session.user_time), all.local.gets, all.local.get_bytes,
                     all.local.puts, all.local.put_bytes, all.network.gets, all.network.get_bytes,
                     all.network.puts, all.network.put_bytes, OneLine(report.state));
}

std::string RenderJson(const RunReport& report) {
  rapidjson::StringBuffer buffer;
  JsonWriter writer(buffer);
  writer.StartObject();
  PutNumber(writer, "status", static_cast<std::uint64_t>(report.status));
  PutText(writer, "status_name", ToString(report.status));
  PutText(writer, "cause", report.cause);
  PutText(writer, "state", OneLine(report.state));
  PutText(writer, "validator", Name(report.validator));
  if (report.is_daemon) {
    writer.Key("daemon");
    writer.Bool(true);
  }
  if (!report.program_digest.empty()) PutVerdict(writer, report);
  if (report.node) {
    writer.Key("node");
    writer.Int64(*report.node);
  }
  if (report.memory_size > 0) PutLimits(writer, report);
  if (report.has_readiness) {
    writer.Key("readiness");
    writer.Bool(true);
  }
  if (report.session) PutSession(writer, *report.session, report);
  if (!report.links.empty()) PutLinks(writer, report);
  if (report.session) PutText(writer, "stderr_tail", report.session->stderr_tail);
  if (!report.warnings.empty()) {
    writer.Key("warnings");
    writer.StartArray();
    for (const ManifestWarning& warning : report.warnings) {
      writer.StartObject();
      PutNumber(writer, "line", warning.line);
      PutText(writer, "message", warning.message);
      writer.EndObject();
    }
    writer.EndArray();
  }
  writer.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string RenderTrace(const RunReport& report) {
  struct Event {
    std::chrono::nanoseconds at;
    std::string what;
  };
  std::vector<Event> events;
  if (report.session) {
    for (const TracedCall& call : report.session->trace) {
      const auto start = report.session_start + call.start;
      events.push_back({start, "untrusted code"});
      events.push_back({call.end ? report.session_start + *call.end : start, CallText(call)});
    }
  }
  for (const RunStage& stage : report.stages) {
    events.push_back({stage.since_start, OneLine(stage.name)});
  }
  // The session runs beside its parent: a stage may be noted in the middle of a call.
  std::ranges::stable_sort(events, {}, &Event::at);
  std::string text;
  std::chrono::nanoseconds before{0};
  for (const Event& event : events) {
    text += fmt::format("{:.6f} [{:.6f}]: {}\n", std::chrono::duration<double>(event.at).count(),
                        std::chrono::duration<double>(event.at - before).count(), event.what);
    before = event.at;
  }
  if (report.session && report.session->untraced_calls > 0) {
    text += fmt::format("{} more calls were not noted\n", report.session->untraced_calls);
  }
  return text;
}

}  // namespace zerocloud::runtime
