#include "middleware/swift/cluster_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "middleware/http/text.h"

namespace zerocloud::swift {
namespace {

constexpr std::string_view kPolicyPrefix = "storage-policy:";
constexpr std::uint64_t kMaxPolicyIndex = 9999;

using Section = std::map<std::string, std::string>;

std::unexpected<Error> FailConf(std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("swift.conf: {}", sentence));
}

std::unexpected<Error> FailLine(std::size_t line, std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("swift.conf, line {}: {}", line, sentence));
}

constexpr std::string_view kSpace = " \t\r\f\v";

std::string_view Strip(std::string_view text) {
  const std::size_t start = text.find_first_not_of(kSpace);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

// Sections of the file. A line that is indented more than the key before it continues that key's
// value.
class Reader {
 public:
  Result<std::map<std::string, Section>> Read(std::string_view text) {
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (Result<void> done = ReadLine(line, number); !done) return Fail(done);
    }
    return std::move(sections_);
  }

 private:
  Result<void> ReadLine(std::string_view line, std::size_t number) {
    const std::string_view stripped = Strip(line);
    if (stripped.empty() || stripped.front() == '#' || stripped.front() == ';') return {};
    const std::size_t indent = line.find_first_not_of(kSpace);
    if (value_ != nullptr && indent > indent_) {
      value_->append("\n").append(stripped);
      return {};
    }
    indent_ = indent;
    if (stripped.front() == '[') return OpenSection(stripped, number);
    if (section_ == nullptr) return FailLine(number, "a key stands before the first [section].");
    const std::size_t separator = stripped.find_first_of("=:");
    const std::string_view key = Strip(stripped.substr(0, separator));
    if (separator == std::string_view::npos || key.empty()) {
      return FailLine(number, "this is neither [section] nor key = value.");
    }
    const auto [entry, is_new] = section_->emplace(http::ToLower(key), "");
    if (!is_new) return FailLine(number, fmt::format("the key {} is there twice.", key));
    value_ = &entry->second;
    *value_ = Strip(stripped.substr(separator + 1));
    return {};
  }

  Result<void> OpenSection(std::string_view stripped, std::size_t number) {
    const std::size_t end = stripped.rfind(']');
    if (end == std::string_view::npos || end == 1) return FailLine(number, "a broken [section].");
    const auto [entry, is_new] = sections_.emplace(stripped.substr(1, end - 1), Section{});
    if (!is_new) return FailLine(number, fmt::format("{} is there twice.", stripped));
    section_ = &entry->second;
    value_ = nullptr;
    return {};
  }

  std::map<std::string, Section> sections_;
  Section* section_ = nullptr;
  std::string* value_ = nullptr;
  std::size_t indent_ = 0;
};

// "%%" is "%"; "%(name)s" would refer to another key, which nobody needs here.
Result<std::string> Interpolated(const std::string& key, const std::string& value) {
  std::string plain;
  for (std::size_t i = 0; i < value.size(); ++i) {
    plain.push_back(value[i]);
    if (value[i] != '%') continue;
    ++i;
    if (i == value.size() || value[i] != '%') {
      return FailConf(fmt::format("the value of {} has a single %; write %%.", key));
    }
  }
  return plain;
}

class Conf {
 public:
  explicit Conf(std::map<std::string, Section> sections) : sections_(std::move(sections)) {}

  // Its own or that of [DEFAULT].
  [[nodiscard]] Result<std::string> Get(const std::string& section, const std::string& key) const {
    for (const std::string& name : {section, std::string("DEFAULT")}) {
      const auto found = sections_.find(name);
      if (found == sections_.end()) continue;
      const auto value = found->second.find(key);
      if (value != found->second.end()) return Interpolated(key, value->second);
    }
    return std::string();
  }
  [[nodiscard]] const std::map<std::string, Section>& sections() const { return sections_; }

 private:
  std::map<std::string, Section> sections_;
};

Result<std::vector<StoragePolicy>> Policies(const Conf& conf) {
  std::vector<StoragePolicy> policies;
  for (const auto& [name, section] : conf.sections()) {
    if (!name.starts_with(kPolicyPrefix)) continue;
    const std::optional<std::uint64_t> index =
        http::ParseNumber(std::string_view(name).substr(kPolicyPrefix.size()));
    if (!index || *index > kMaxPolicyIndex) {
      return FailConf(
          fmt::format("[{}] has no number from 0 to {} after the colon.", name, kMaxPolicyIndex));
    }
    const Result<std::string> type = conf.Get(name, "policy_type");
    if (!type) return Fail(type);
    std::vector<std::string> names;
    for (const char* key : {"name", "aliases"}) {
      const Result<std::string> text = conf.Get(name, key);
      if (!text) return Fail(text);
      for (const std::string_view each : http::SplitTrimmed(*text, ',')) {
        if (!each.empty()) names.push_back(http::ToLower(each));
      }
    }
    policies.push_back({.index = static_cast<unsigned>(*index),
                        .is_replicated = type->empty() || *type == "replication",
                        .names = std::move(names)});
  }
  std::ranges::sort(policies, {}, &StoragePolicy::index);
  if (std::ranges::adjacent_find(policies, {}, &StoragePolicy::index) != policies.end()) {
    return FailConf("two storage policies have the same number.");
  }
  // Swift makes a policy 0 where there is none.
  if (policies.empty()) policies.push_back({.names = {"policy-0"}});
  return policies;
}

}  // namespace

std::string StoragePolicy::RingName() const {
  return index == 0 ? "object.ring.gz" : fmt::format("object-{}.ring.gz", index);
}

Result<ClusterConf> ParseClusterConf(std::string_view text) {
  if (text.size() > kMaxConfBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("swift.conf: more than {} bytes.", kMaxConfBytes));
  }
  Result<std::map<std::string, Section>> sections = Reader().Read(text);
  if (!sections) return Fail(sections);
  const Conf conf(std::move(*sections));
  ClusterConf parsed;
  Result<std::string> prefix = conf.Get("swift-hash", "swift_hash_path_prefix");
  if (!prefix) return Fail(prefix);
  Result<std::string> suffix = conf.Get("swift-hash", "swift_hash_path_suffix");
  if (!suffix) return Fail(suffix);
  parsed.affixes = {std::move(*prefix), std::move(*suffix)};
  if (parsed.affixes.prefix.empty() && parsed.affixes.suffix.empty()) {
    return FailConf("[swift-hash] has neither swift_hash_path_prefix nor swift_hash_path_suffix.");
  }
  Result<std::vector<StoragePolicy>> policies = Policies(conf);
  if (!policies) return Fail(policies);
  parsed.policies = std::move(*policies);
  return parsed;
}

}  // namespace zerocloud::swift
