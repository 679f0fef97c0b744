// Sources of a configuration: files and the command line.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "middleware/config/config.h"
#include "middleware/config/ini.h"
#include "middleware/config/options.h"
#include "middleware/http/base64.h"

namespace zerocloud::config {
namespace {

constexpr std::string_view kCommandLine = "the command line";
constexpr std::string_view kUsers = "users";

// How many letters must be added, removed or changed to make one of the other.
std::size_t Distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < other.size(); ++j) {
      const std::size_t changed = corner + (one[i] == other[j] ? 0U : 1U);
      corner = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// " Is "server.threads" meant?", or nothing if no name is near. A key that is right in another
// section is near.
std::string Hint(std::string_view section, std::string_view key) {
  constexpr std::size_t kFar = 3;
  constexpr std::size_t kLongest = 64;  // nothing longer is near anything, and it bounds the work
  if (section.size() > kLongest || key.size() > kLongest) return {};
  std::size_t best = kFar;
  const Option* found = nullptr;
  for (const Option& option : Options()) {
    std::size_t distance = Distance(option.key, key);
    if (option.section != section)
      distance += std::min<std::size_t>(2, Distance(option.section, section));
    if (distance < best) {
      best = distance;
      found = &option;
    }
  }
  return found == nullptr ? "" : fmt::format(" Is [{}] {} meant?", found->section, found->key);
}

std::string SectionHint(std::string_view name) {
  if (name == "DEFAULT") {
    return " No section takes values from it here; put each option in its own section.";
  }
  constexpr std::size_t kLongest = 64;
  if (name.size() > kLongest) return {};
  const auto best = std::ranges::min_element(
      Sections(), {}, [name](const auto& section) { return Distance(section.name, name); });
  return Distance(best->name, name) < 3 ? fmt::format(" Is [{}] meant?", best->name) : "";
}

// "user_test_tester" with "testing .admin", as Swift's tempauth has it.
Result<User> UserFrom(const IniEntry& entry) {
  const auto fail = [](std::string_view sentence) {
    return Fail(ErrorCode::kInvalid, std::string(sentence));
  };
  std::string_view rest = entry.key;
  const bool is_coded = rest.starts_with("user64_");
  if (!is_coded && !rest.starts_with("user_")) {
    return fail("a user is user_ACCOUNT_USER = KEY [.admin].");
  }
  rest.remove_prefix(rest.find('_') + 1);
  const std::size_t middle = rest.find('_');
  if (middle == std::string_view::npos || rest.find('_', middle + 1) != std::string_view::npos) {
    return fail(
        "a user is user_ACCOUNT_USER; with a '_' in one of the two names it is "
        "user64_ACCOUNT_USER with both in base64 without '='.");
  }
  User user{std::string(rest.substr(0, middle)), std::string(rest.substr(middle + 1)), {}, false};
  if (is_coded) {
    auto account = http::FromBase64(user.account);
    auto name = http::FromBase64(user.user);
    if (!account || !name) return fail("the names are not base64.");
    user.account = std::move(*account);
    user.user = std::move(*name);
  }
  const std::size_t space = std::min(entry.value.find_first_of(" \t"), entry.value.size());
  user.key = entry.value.substr(0, space);
  std::string_view groups = std::string_view(entry.value).substr(space);
  groups.remove_prefix(std::min(groups.find_first_not_of(" \t"), groups.size()));
  if (!groups.empty() && groups != ".admin") {
    return fail("after the key there is .admin or nothing; other groups mean nothing here.");
  }
  user.is_admin = !groups.empty();
  if (user.account.empty() || user.user.empty() || user.key.empty()) {
    return fail("a user needs account, user and key.");
  }
  return user;
}

void Replace(std::vector<User>& users, User user) {
  const auto same = std::ranges::find_if(users, [&user](const User& other) {
    return other.account == user.account && other.user == user.user;
  });
  if (same == users.end()) {
    users.push_back(std::move(user));
  } else {
    *same = std::move(user);
  }
}

Result<void> ApplyUser(Settings& settings, const IniEntry& entry, const std::string& place) {
  Result<User> user = UserFrom(entry);
  if (!user.has_value()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: [users] {}: {}", place, entry.key, user.error().message));
  }
  const std::string name = fmt::format("users.{}:{}", user->account, user->user);
  const auto old = std::ranges::find_if(settings.config.users, [&user](const User& other) {
    return other.account == user->account && other.user == user->user;
  });
  const auto [origin, is_new] = settings.origins.emplace(name, place);
  if (!is_new && old != settings.config.users.end() && *old != *user) {
    settings.warnings.push_back(fmt::format("{}: [users] {}: {} says otherwise; this one counts.",
                                            place, entry.key, origin->second));
  }
  origin->second = place;
  Replace(settings.config.users, std::move(*user));
  return {};
}

Result<void> ApplyEntry(Settings& settings, const IniEntry& entry, const std::string& place) {
  if (entry.section == kUsers) return ApplyUser(settings, entry, place);
  const Option* option = FindOption(entry.section, entry.key);
  if (option == nullptr) {
    settings.warnings.push_back(
        fmt::format("{}: [{}] {}: there is no such option; it is ignored.{}", place, entry.section,
                    entry.key, Hint(entry.section, entry.key)));
    return {};
  }
  const std::string before = ValueIn(settings.config, *option);
  if (const auto set = SetValue(settings.config, *option, entry.value); !set.has_value()) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: [{}] {}: {}", place, entry.section, entry.key,
                                                 set.error().message));
  }
  const auto [origin, is_new] = settings.origins.emplace(option->name(), place);
  const std::string after = ValueIn(settings.config, *option);
  if (!is_new && before != after) {
    settings.warnings.push_back(fmt::format("{}: [{}] {} = {}: {} says {}; this one counts.", place,
                                            entry.section, entry.key, after, origin->second,
                                            before.empty() ? "nothing" : before));
  }
  origin->second = place;
  return {};
}

}  // namespace

Result<void> ApplyIni(Settings& settings, std::string_view file, std::string_view text) {
  const Result<Ini> ini = ParseIni(text);
  if (!ini.has_value()) {
    return Fail(ini.error().code, fmt::format("{}: {}", file, ini.error().message));
  }
  for (const IniSection& section : ini->sections) {
    const bool is_known =
        section.name == kUsers ||
        std::ranges::any_of(Sections(), [&](const auto& one) { return one.name == section.name; });
    if (is_known) continue;
    settings.warnings.push_back(
        fmt::format("{}:{}: there is no section [{}]; it is ignored with all that is in it.{}",
                    file, section.line, section.name, SectionHint(section.name)));
  }
  for (const IniEntry& entry : ini->entries) {
    const bool is_known =
        entry.section == kUsers ||
        std::ranges::any_of(Sections(), [&](const auto& one) { return one.name == entry.section; });
    if (!is_known) continue;
    const auto applied = ApplyEntry(settings, entry, fmt::format("{}:{}", file, entry.line));
    if (!applied.has_value()) return applied;
  }
  return {};
}

Result<void> ApplyOption(Settings& settings, std::string_view name, std::string_view value) {
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::string_view section = name.substr(0, dot);
  const std::string_view key = name.substr(std::min(dot + 1, name.size()));
  const Option* option = FindOption(section, key);
  if (option == nullptr) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: {}: there is no such option.{}", kCommandLine,
                                                 name, Hint(section, key)));
  }
  if (const auto set = SetValue(settings.config, *option, value); !set.has_value()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: {}: {}", kCommandLine, name, set.error().message));
  }
  settings.origins[option->name()] = kCommandLine;
  return {};
}

}  // namespace zerocloud::config
