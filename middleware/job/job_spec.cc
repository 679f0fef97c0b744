#include "middleware/job/job_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <span>

#include "middleware/job/json_document.h"

namespace zerocloud::job {
namespace {

constexpr std::string_view kDefaultStoredType = "application/octet-stream";
constexpr std::string_view kDefaultResponseType = "text/plain";
constexpr std::size_t kContentTypeBytes = 256;

// A key of the language, or one of ZeroCloud's that this language does not have: then `refusal`
// says why and what to do.
struct Key {
  std::string_view name;
  std::string_view refusal = {};
};

constexpr auto kGroupKeys = std::to_array<Key>({
    {"name"},
    {"exec"},
    {"devices"},
    {"count"},
    {"connect"},
    {"timeout"},
    {"memory"},
    {"attach"},
    {"location"},
    {"file_list", "this key is called devices"},
    {"args", "arguments belong into exec"},
    {"env", "the environment belongs into exec"},
    {"replicate", "a session runs once; leave it out"},
});
constexpr auto kExecKeys = std::to_array<Key>({{"path"}, {"args"}, {"env"}, {"name"}});
constexpr auto kDeviceKeys = std::to_array<Key>({
    {"name"},
    {"path"},
    {"content_type"},
    {"meta"},
    {"mapped"},
    {"device", "this key is called name"},
    {"mode", "a device always shows what it is; leave it out"},
    {"min_size", "outputs are stored whatever their size; leave it out"},
});

constexpr auto kDeviceNames =
    std::to_array<DeviceName>({DeviceName::kStdin, DeviceName::kStdout, DeviceName::kStderr,
                               DeviceName::kInput, DeviceName::kOutput});

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool HasControl(std::string_view text) { return std::ranges::any_of(text, IsControl); }

class Parser {
 public:
  explicit Parser(const JobLimits& limits) : limits_(limits) {}

  Result<JobSpec> Job(const JsonValue& root) {
    if (!root.is_array()) {
      return FailAt("", fmt::format("a job is a list of groups, not {}", KindOf(root)));
    }
    if (root.elements.empty()) return FailAt("", "a job needs at least one group");
    if (root.elements.size() > limits_.groups) {
      return OverLimit("groups in the job:", "groups", limits_.groups, root.elements.size());
    }
    JobSpec job;
    for (std::size_t i = 0; i < root.elements.size(); ++i) {
      Result<Group> group = ParseGroup(root.elements[i], PointerStep("", i));
      if (!group) return Fail(group);
      for (const Group& other : job.groups) {
        if (other.name != group->name) continue;
        return FailAt(PointerStep(group->pointer, "name"),
                      fmt::format("{} is called \"{}\" already; names are unique in a job",
                                  other.pointer, other.name));
      }
      job.groups.push_back(std::move(*group));
    }
    for (std::size_t i = 0; i < root.elements.size(); ++i) {
      if (Result<void> done = ParseConnect(root.elements[i], job.groups[i], job.groups); !done) {
        return Fail(done);
      }
    }
    return job;
  }

 private:
  // An object that has each of `keys` at most once and no other.
  static Result<void> CheckKeys(const JsonValue& value, std::string_view pointer,
                                std::string_view what, std::span<const Key> keys) {
    if (!value.is_object()) {
      return FailAt(pointer, fmt::format("{} is an object, not {}", what, KindOf(value)));
    }
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < value.keys.size(); ++i) {
      const std::string_view name = value.keys[i];
      const std::string here = PointerStep(pointer, name);
      const auto key = std::ranges::find(keys, name, &Key::name);
      if (key == keys.end()) {
        std::string known;
        for (const Key& each : keys) {
          if (each.refusal.empty())
            known += fmt::format("{}{}", known.empty() ? "" : ", ", each.name);
        }
        return FailAt(here, fmt::format("{} has no such key; it has {}", what, known));
      }
      if (!key->refusal.empty()) return FailAt(here, key->refusal);
      if (!seen.insert(name).second) return FailAt(here, "the key is given twice");
    }
    return {};
  }

  // A string, not empty and of at most `limit` bytes.
  static Result<std::string_view> Text(const JsonValue* value, const std::string& pointer,
                                       std::string_view limit_name, std::uint64_t limit) {
    if (value == nullptr) return FailAt(pointer, "this key is required");
    if (!value->is_string()) {
      return FailAt(pointer, fmt::format("this is a string, not {}", KindOf(*value)));
    }
    const std::string_view text = value->text;
    if (text.empty()) return FailAt(pointer, "this must not be empty");
    if (text.size() > limit) {
      return OverLimit(pointer + ": bytes in this string:", limit_name, limit, text.size());
    }
    return text;
  }

  static Result<std::uint64_t> Count(const JsonValue& value, const std::string& pointer,
                                     std::string_view limit_name, std::uint64_t limit) {
    const std::uint64_t number = value.whole.value_or(0);
    if (number == 0) return FailAt(pointer, "this is a whole number of at least 1");
    if (number > limit) return OverLimit(pointer + ": this is", limit_name, limit, number);
    return number;
  }

  // A name that becomes a file below /dev/in and an item of a comma-separated header.
  Result<std::string> Name(const JsonValue* value, const std::string& pointer) const {
    Result<std::string_view> text = Text(value, pointer, "name_bytes", limits_.name_bytes);
    if (!text) return Fail(text);
    if (HasControl(*text)) return FailAt(pointer, "a name cannot hold control characters");
    if (text->find_first_of("/,") != std::string_view::npos || *text == "." || *text == "..") {
      return FailAt(pointer, "a name becomes a file name: it cannot hold / or , nor be . or ..");
    }
    return std::string(*text);
  }

  Result<ObjectUrl> Url(const JsonValue* value, const std::string& pointer) const {
    Result<std::string_view> text = Text(value, pointer, "url_bytes", limits_.url_bytes);
    if (!text) return Fail(text);
    Result<ObjectUrl> url = ParseObjectUrl(*text);
    if (!url) return FailAt(pointer, url.error().message);
    return url;
  }

  Result<Group> ParseGroup(const JsonValue& value, std::string pointer) const {
    if (Result<void> checked = CheckKeys(value, pointer, "a group", kGroupKeys); !checked) {
      return Fail(checked);
    }
    Group group;
    Result<std::string> name = Name(value.Find("name"), PointerStep(pointer, "name"));
    if (!name) return Fail(name);
    group.name = std::move(*name);
    const JsonValue* exec = value.Find("exec");
    if (exec == nullptr) return FailAt(PointerStep(pointer, "exec"), "this key is required");
    if (Result<void> done = ParseExec(*exec, PointerStep(pointer, "exec"), group); !done) {
      return Fail(done);
    }
    if (const JsonValue* devices = value.Find("devices")) {
      Result<void> done = ParseDevices(*devices, PointerStep(pointer, "devices"), group);
      if (!done) return Fail(done);
    }
    if (const JsonValue* count = value.Find("count")) {
      Result<std::uint64_t> number =
          Count(*count, PointerStep(pointer, "count"), "sessions", limits_.sessions);
      if (!number) return Fail(number);
      group.count = *number;
    }
    if (Result<void> done = ParseBounds(value, pointer, group); !done) return Fail(done);
    if (Result<void> done = ParsePlace(value, pointer, group); !done) return Fail(done);
    group.pointer = std::move(pointer);
    return group;
  }

  Result<void> ParseBounds(const JsonValue& value, const std::string& pointer, Group& group) const {
    group.timeout =
        std::chrono::seconds(std::min(limits_.default_timeout_seconds, limits_.timeout_seconds));
    if (const JsonValue* timeout = value.Find("timeout")) {
      const std::string here = PointerStep(pointer, "timeout");
      const double seconds = timeout->number;
      if (!(seconds >= 0.001)) return FailAt(here, "this is a number of seconds above 0");
      if (seconds > static_cast<double>(limits_.timeout_seconds)) {
        return OverLimit(here + ": this is more seconds than allowed:", "timeout_seconds",
                         limits_.timeout_seconds,
                         static_cast<std::uint64_t>(std::ceil(std::min(seconds, 1e15))));
      }
      group.timeout = std::chrono::milliseconds(std::llround(seconds * 1000));
    }
    group.memory_bytes = std::min(limits_.default_memory_bytes, limits_.memory_bytes);
    if (const JsonValue* memory = value.Find("memory")) {
      Result<std::uint64_t> bytes =
          Count(*memory, PointerStep(pointer, "memory"), "memory_bytes", limits_.memory_bytes);
      if (!bytes) return Fail(bytes);
      group.memory_bytes = *bytes;
    }
    return {};
  }

  Result<void> ParsePlace(const JsonValue& value, const std::string& pointer, Group& group) const {
    if (const JsonValue* attach = value.Find("attach")) {
      const std::string here = PointerStep(pointer, "attach");
      Result<std::string_view> name = Text(attach, here, "name_bytes", limits_.name_bytes);
      if (!name) return Fail(name);
      std::string known = "default";
      for (const Device& device : group.devices) {
        known += fmt::format(", {}", ToString(device.name));
        if (ToString(device.name) == *name) group.attach = device.name;
      }
      if (!group.attach && *name != "default") {
        return FailAt(
            here, fmt::format("the group has no device \"{}\"; it may be one of {}", *name, known));
      }
    }
    if (const JsonValue* location = value.Find("location")) {
      const std::string here = PointerStep(pointer, "location");
      Result<std::string_view> tag = Text(location, here, "name_bytes", limits_.name_bytes);
      if (!tag) return Fail(tag);
      if (HasControl(*tag)) return FailAt(here, "a tag cannot hold control characters");
      group.location = *tag;
    }
    return {};
  }

  Result<void> ParseExec(const JsonValue& value, const std::string& pointer, Group& group) const {
    if (Result<void> checked = CheckKeys(value, pointer, "exec", kExecKeys); !checked) {
      return checked;
    }
    const std::string path_pointer = PointerStep(pointer, "path");
    Result<ObjectUrl> program = Url(value.Find("path"), path_pointer);
    if (!program) return Fail(program);
    if (program->has_wildcard()) return FailAt(path_pointer, "a program has no wildcards");
    group.program = std::move(*program);
    if (const JsonValue* name = value.Find("name")) {
      const std::string here = PointerStep(pointer, "name");
      Result<std::string_view> text = Text(name, here, "name_bytes", limits_.name_bytes);
      if (!text) return Fail(text);
      if (HasControl(*text)) return FailAt(here, "a name cannot hold control characters");
      group.program_name = *text;
    }
    if (const JsonValue* args = value.Find("args")) {
      Result<void> done = ParseArgs(*args, PointerStep(pointer, "args"), group);
      if (!done) return done;
    }
    if (const JsonValue* env = value.Find("env")) {
      return ParseEnv(*env, PointerStep(pointer, "env"), group);
    }
    return {};
  }

  Result<void> ParseArgs(const JsonValue& value, const std::string& pointer, Group& group) const {
    std::uint64_t bytes = 0;
    if (value.is_string()) {
      bytes = value.text.size();
      Result<std::vector<std::string>> words = SplitArguments(value.text);
      if (!words) return FailAt(pointer, words.error().message);
      group.args = std::move(*words);
    } else if (value.is_array()) {
      for (std::size_t i = 0; i < value.elements.size(); ++i) {
        const std::string here = PointerStep(pointer, i);
        if (!value.elements[i].is_string()) {
          return FailAt(here,
                        fmt::format("an argument is a string, not {}", KindOf(value.elements[i])));
        }
        const std::string_view word = value.elements[i].text;
        if (word.contains('\0')) return FailAt(here, "an argument cannot hold a NUL");
        bytes += word.size() + 1;
        group.args.emplace_back(word);
      }
    } else {
      return FailAt(pointer, "arguments are one string, or a list of strings");
    }
    if (bytes > limits_.args_bytes) {
      return OverLimit(pointer + ": bytes of arguments:", "args_bytes", limits_.args_bytes, bytes);
    }
    return {};
  }

  Result<void> ParseEnv(const JsonValue& value, const std::string& pointer, Group& group) const {
    if (!value.is_object()) {
      return FailAt(pointer, fmt::format("env is an object, not {}", KindOf(value)));
    }
    if (value.elements.size() > limits_.env_entries) {
      return OverLimit(pointer + ": variables:", "env_entries", limits_.env_entries,
                       value.elements.size());
    }
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < value.keys.size(); ++i) {
      const std::string_view name = value.keys[i];
      const std::string here = PointerStep(pointer, name);
      if (name.empty() || name.contains('=') || HasControl(name)) {
        return FailAt(here,
                      "a variable's name is not empty and holds no = and no control character");
      }
      if (!seen.insert(name).second) return FailAt(here, "the variable is given twice");
      if (!value.elements[i].is_string()) {
        return FailAt(here, fmt::format("a value is a string, not {}", KindOf(value.elements[i])));
      }
      const std::string_view text = value.elements[i].text;
      if (text.contains('\0')) return FailAt(here, "a value cannot hold a NUL");
      group.env.emplace_back(name, text);
    }
    return {};
  }

  Result<void> ParseDevices(const JsonValue& value, const std::string& pointer,
                            Group& group) const {
    if (!value.is_array()) {
      return FailAt(pointer, fmt::format("devices is a list, not {}", KindOf(value)));
    }
    for (std::size_t i = 0; i < value.elements.size(); ++i) {
      Result<Device> device = ParseDevice(value.elements[i], PointerStep(pointer, i));
      if (!device) return Fail(device);
      for (const Device& other : group.devices) {
        if (other.name != device->name) continue;
        return FailAt(PointerStep(device->pointer, "name"),
                      fmt::format("{} is {} already", other.pointer, ToString(other.name)));
      }
      group.devices.push_back(std::move(*device));
    }
    return {};
  }

  Result<Device> ParseDevice(const JsonValue& value, std::string pointer) const {
    if (Result<void> checked = CheckKeys(value, pointer, "a device", kDeviceKeys); !checked) {
      return Fail(checked);
    }
    Device device;
    const std::string name_pointer = PointerStep(pointer, "name");
    Result<std::string_view> name =
        Text(value.Find("name"), name_pointer, "name_bytes", limits_.name_bytes);
    if (!name) return Fail(name);
    const auto* const found = std::ranges::find_if(
        kDeviceNames, [&](DeviceName each) { return ToString(each) == *name; });
    if (found == kDeviceNames.end()) {
      return FailAt(name_pointer,
                    fmt::format("there is no device \"{}\"; devices are stdin, stdout, stderr, "
                                "input and output",
                                *name));
    }
    device.name = *found;
    if (const JsonValue* path = value.Find("path")) {
      Result<ObjectUrl> url = Url(path, PointerStep(pointer, "path"));
      if (!url) return Fail(url);
      const auto stars = static_cast<std::uint64_t>(std::ranges::count(url->container, '*') +
                                                    std::ranges::count(url->object, '*'));
      if (stars > limits_.wildcards) {
        return OverLimit(PointerStep(pointer, "path") + ": wildcards of the path:", "wildcards",
                         limits_.wildcards, stars);
      }
      device.path = std::move(*url);
    }
    if (Result<void> done = ParseContentType(value, pointer, device); !done) return Fail(done);
    if (const JsonValue* mapped = value.Find("mapped")) {
      const std::string here = PointerStep(pointer, "mapped");
      if (mapped->kind != JsonValue::Kind::kBool) {
        return FailAt(here, fmt::format("this is true or false, not {}", KindOf(*mapped)));
      }
      if (device.name != DeviceName::kInput) {
        return FailAt(here, "only input, which is read at random, can be mapped");
      }
      device.is_mapped = mapped->is_true;
    }
    if (const JsonValue* meta = value.Find("meta")) {
      Result<void> done = ParseMeta(*meta, PointerStep(pointer, "meta"), device);
      if (!done) return Fail(done);
    }
    device.pointer = std::move(pointer);
    return device;
  }

  static Result<void> ParseContentType(const JsonValue& value, const std::string& pointer,
                                       Device& device) {
    const JsonValue* type = value.Find("content_type");
    if (type == nullptr) {
      if (!IsReadable(device.name)) {
        device.content_type = device.path ? kDefaultStoredType : kDefaultResponseType;
      }
      return {};
    }
    const std::string here = PointerStep(pointer, "content_type");
    if (IsReadable(device.name)) {
      return FailAt(here, "only what is written has a content type to choose");
    }
    if (!type->is_string()) {
      return FailAt(here, fmt::format("a content type is a string, not {}", KindOf(*type)));
    }
    const std::string_view text = type->text;
    const bool is_printable =
        std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (text.empty() || text.size() > kContentTypeBytes || !is_printable || !text.contains('/')) {
      return FailAt(here, "a content type is type/subtype in printable ASCII, at most 256 bytes");
    }
    if (text.starts_with("message/http") || text.starts_with("message/cgi")) {
      return FailAt(here,
                    "answers whose headers the program writes are not offered; "
                    "name the type of the body");
    }
    device.content_type = text;
    return {};
  }

  Result<void> ParseMeta(const JsonValue& value, const std::string& pointer, Device& device) const {
    if (IsReadable(device.name) || !device.path) {
      return FailAt(pointer, "only an output that is stored (it has a path) has metadata");
    }
    if (!value.is_object()) {
      return FailAt(pointer, fmt::format("meta is an object, not {}", KindOf(value)));
    }
    if (value.elements.size() > limits_.metadata_entries) {
      return OverLimit(pointer + ": entries of metadata:", "metadata_entries",
                       limits_.metadata_entries, value.elements.size());
    }
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < value.keys.size(); ++i) {
      const std::string_view name = value.keys[i];
      const std::string here = PointerStep(pointer, name);
      const bool is_token = std::ranges::all_of(name, [](char c) {
        return c > 0x20 && c < 0x7f && !std::string_view("\"(),/:;<=>?@[\\]{}").contains(c);
      });
      if (name.empty() || !is_token) {
        return FailAt(here,
                      "a name of metadata is part of a header's name: ASCII letters, digits "
                      "and - . _ ~");
      }
      if (!value.elements[i].is_string()) {
        return FailAt(here, fmt::format("a value is a string, not {}", KindOf(value.elements[i])));
      }
      const std::string_view text = value.elements[i].text;
      if (HasControl(text)) return FailAt(here, "a value cannot hold control characters");
      bytes += name.size() + text.size();
      if (!device.metadata.emplace(name, text).second)
        return FailAt(here, "the name is given twice");
    }
    if (bytes > limits_.metadata_bytes) {
      return OverLimit(pointer + ": bytes of metadata:", "metadata_bytes", limits_.metadata_bytes,
                       bytes);
    }
    return {};
  }

  static Result<void> ParseConnect(const JsonValue& value, Group& group,
                                   std::span<const Group> groups) {
    const JsonValue* connect = value.Find("connect");
    if (connect == nullptr) return {};
    const std::string pointer = PointerStep(group.pointer, "connect");
    if (!connect->is_array()) {
      return FailAt(pointer,
                    fmt::format("connect is a list of names of groups, not {}", KindOf(*connect)));
    }
    for (std::size_t i = 0; i < connect->elements.size(); ++i) {
      const std::string here = PointerStep(pointer, i);
      const JsonValue& name = connect->elements[i];
      if (!name.is_string()) {
        return FailAt(here, fmt::format("a group's name is a string, not {}", KindOf(name)));
      }
      const auto target = std::ranges::find(groups, name.text, &Group::name);
      if (target == groups.end()) {
        return FailAt(here, fmt::format("there is no group \"{}\"", name.text));
      }
      const auto index = static_cast<std::size_t>(target - groups.begin());
      if (std::ranges::find(group.connect, index) != group.connect.end()) {
        return FailAt(here, fmt::format("\"{}\" is connected already", name.text));
      }
      group.connect.push_back(index);
    }
    return {};
  }

  const JobLimits& limits_;
};

}  // namespace

Result<JobSpec> ParseJob(std::string_view json, const JobLimits& limits) {
  Result<JsonValue> document = ParseJson(json, limits);
  if (!document) return Fail(document);
  return Parser(limits).Job(*document);
}

}  // namespace zerocloud::job
