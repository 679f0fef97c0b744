// What the JSON payloads of frames say, as values. docs/node-protocol.md is the contract. Pure;
// what is parsed is a stranger's word and checked against limits here, so that whoever uses the
// values need not.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "channels/channel_spec.h"
#include "middleware/store/object_store.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::remote {

// The number of a program in data frames; channels have those of their places in the list.
inline constexpr std::uint32_t kProgramChannel = 0xffffffff;

struct Hello {
  std::uint64_t slots = 0;     // of the node; a proxy says 0
  std::uint64_t sessions = 0;  // that run or wait there
  // Of a node, for whoever compares: its clock, in seconds since 1970, and its operator's limits.
  std::uint64_t time = 0;
  std::uint64_t program_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t timeout_seconds = 0;
  // Of the proxy for which this side speaks: an id as long as it runs. A node that answers has
  // none.
  std::string proxy = {};
  friend bool operator==(const Hello&, const Hello&) = default;
};

enum class Source : std::uint8_t {
  kNothing = 0,  // /dev/null
  kObject = 1,   // a stored object, opened by the node
  kBytes = 2,    // sent by the proxy
  kOutput = 3,   // written by the session, sent back when it has ended well
  kStderr = 4,   // written by the session; its end is in the report
  kHeld = 5,     // what a session wrote that has ended, where it is held
  kHold = 6,     // written by the session, held by the node when it has ended well
  kRead = 7,     // a stream from a session that runs at the same time
  kWrite = 8,    // a stream to one
};

struct OfferedChannel {
  std::string alias;
  channels::AccessType type = channels::AccessType::kSequentialBoth;
  channels::ChannelLimits limits = {};
  Source source = Source::kNothing;
  std::uint64_t size = 0;  // kBytes, kHeld
  // kObject:
  store::ObjectPath path = {};
  bool is_random = false;
  bool is_mapped = false;  // found by the program in its memory
  bool is_local_object = false;
  // What a listing said that the caller got, and how long ago that was.
  std::optional<store::ObjectInfo> listed = {};
  std::chrono::milliseconds listed_ago{0};
  // kHeld and kHold:
  std::string hold = {};    // its id
  std::string holder = {};  // kHeld: "host:port"; empty: the node itself
  std::string sha256 = {};  // kHeld
  // kRead and kWrite:
  std::string stream = {};  // its id
  // "host:port" of the node where the session at the other end is; empty: the node itself.
  std::string peer = {};
};

// A session that the node is asked to run.
struct Offer {
  std::string session;
  store::Caller caller;
  std::string sha256;  // of the program
  std::uint64_t program_size = 0;
  std::uint64_t memory_size = 0;
  std::chrono::milliseconds timeout{0};
  std::chrono::microseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;
  std::uint64_t stderr_tail_bytes = 0;
  std::uint64_t nvram_bytes = 0;
  bool is_of_gang = false;               // it gets a slot at once or not at all, and waits for kGo
  std::vector<OfferedChannel> channels;  // in handle order
};

struct Accepted {
  bool needs_program = false;
};

// The end of a stream of data frames.
struct StreamEnd {
  std::uint32_t channel = 0;
  std::uint64_t size = 0;
  std::string sha256;
};

struct EndReport {
  runtime::SessionReport report;  // without what only sessions on this machine have
  bool has_objects = false;
  bool is_local = true;
  std::string why_not_local;
  std::string stderr_tail;
  // Of each channel: the SHA-256 of what is held now, or empty. As many as report.channels.
  std::vector<std::string> digests;
};

// The session did not run, or its end cannot be told.
struct Failure {
  Error error;
  std::string alias;                   // the input that is to blame, or empty: the node
  std::vector<std::string> lost = {};  // holds that are not to be had any more
  bool is_busy = false;                // no slot is free for a session of a gang
};

std::string Encode(const Hello& hello);
std::string Encode(const Offer& offer);
std::string Encode(const Accepted& accepted);
std::string Encode(const StreamEnd& end);
std::string Encode(const EndReport& end);
std::string Encode(const Failure& failure);

// kInvalid and kLimitExceeded, with the member that is wrong.
Result<Hello> ParseHello(std::string_view json);
Result<Offer> ParseOffer(std::string_view json);
Result<Accepted> ParseAccepted(std::string_view json);
Result<StreamEnd> ParseStreamEnd(std::string_view json);
Result<EndReport> ParseEndReport(std::string_view json);
Result<Failure> ParseFailure(std::string_view json);

}  // namespace zerocloud::remote
