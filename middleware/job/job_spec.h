// JobSpec: a job document as values, checked in itself: names are sane and unique, URLs are well
// formed, connections name groups that exist, numbers are within the limits. What depends on stored
// objects (wildcards) is the plan's matter.
//
// The language is ZeroCloud's job description (a JSON list of groups); docs/jobs.md is its manual
// and lists what differs.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/base/result.h"
#include "middleware/job/job_limits.h"

namespace zerocloud::job {

// swift://account/container/object. Container and object may hold '*' where wildcards are allowed.
struct ObjectUrl {
  std::string account;  // empty: the account of the request's URL ("~" or "." in the document)
  std::string container;
  std::string object;

  [[nodiscard]] bool has_wildcard() const {
    return container.contains('*') || object.contains('*');
  }
  // "swift://account/container/object", for messages.
  [[nodiscard]] std::string ToString() const;
  friend auto operator<=>(const ObjectUrl&, const ObjectUrl&) = default;
};

// What a guest sees as /dev/stdin and so on. The order is that of a session's outputs in the
// response body.
enum class DeviceName : std::uint8_t { kStdin, kInput, kStdout, kStderr, kOutput };
std::string_view ToString(DeviceName name);  // "stdin"
constexpr bool IsReadable(DeviceName name) {
  return name == DeviceName::kStdin || name == DeviceName::kInput;
}

struct Device {
  DeviceName name = DeviceName::kStdin;
  std::optional<ObjectUrl> path;                // none: the request's object, or the response body
  bool is_mapped = false;                       // of an input: the guest finds it in its memory
  std::string content_type;                     // of a writable device
  std::map<std::string, std::string> metadata;  // of a stored object; names without a prefix
  std::string pointer;                          // JSON pointer of the device, for later messages
};

struct Group {
  std::string name;
  ObjectUrl program;
  std::string program_name;                              // argv[0]; empty: the session's name
  std::vector<std::string> args;                         // without argv[0]
  std::vector<std::pair<std::string, std::string>> env;  // in the order of the document
  std::vector<Device> devices;                           // each name at most once
  std::optional<std::uint64_t> count;
  std::vector<std::size_t> connect;  // indices of groups
  // The device near whose object the sessions run, one of `devices`; none: the plan chooses.
  std::optional<DeviceName> attach;
  std::string location;  // sessions of groups with the same tag try to run on one node; or empty
  std::chrono::milliseconds timeout{0};
  std::uint64_t memory_bytes = 0;
  std::string pointer;  // "/0"
};

struct JobSpec {
  std::vector<Group> groups;
};

// Reads a job document. kInvalid with a JSON pointer and a sentence ("/0/devices/1/name: ..."), or
// kLimitExceeded naming the limit. Stack use does not depend on the document.
Result<JobSpec> ParseJob(std::string_view json, const JobLimits& limits);

// "swift://account/container/object". kInvalid with a sentence.
Result<ObjectUrl> ParseObjectUrl(std::string_view text);

// Cuts a line of arguments at spaces; double quotes group, \xHH is a byte. kInvalid with a
// sentence.
Result<std::vector<std::string>> SplitArguments(std::string_view line);

}  // namespace zerocloud::job
