// The configuration as text for people: in force, as a table, as a sample.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "middleware/config/config.h"
#include "middleware/config/options.h"
#include "middleware/http/base64.h"

namespace zerocloud::config {
namespace {

constexpr std::string_view kUsersProse =
    "Who may get a token from the embedded store: user_ACCOUNT_USER = KEY, and .admin after the "
    "key for who owns the account; others need ACLs. As Swift's tempauth has it, also user64_ "
    "with both names in base64, for names with a _.";

// `text` in lines of at most 78 characters, each after "# ".
std::string Comment(std::string_view text) {
  constexpr std::size_t kWidth = 78;
  std::string out;
  while (!text.empty()) {
    std::size_t size = text.size();
    if (size > kWidth) size = std::min(text.rfind(' ', kWidth), size);
    out += fmt::format("# {}\n", text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return out;
}

// Without padding: an "=" would end the key.
std::string Base64(std::string_view text) {
  std::string coded = http::ToBase64(text);
  std::erase(coded, '=');
  return coded;
}

std::string KeyOf(const User& user) {
  const bool is_plain = std::ranges::all_of(user.account + user.user, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '@';
  });
  return is_plain ? fmt::format("user_{}_{}", user.account, user.user)
                  : fmt::format("user64_{}_{}", Base64(user.account), Base64(user.user));
}

}  // namespace

std::string Dump(const Settings& settings) {
  std::string text = "# What has no comment is the default.\n";
  const auto origin_of = [&settings](const std::string& name) {
    const auto found = settings.origins.find(name);
    return found == settings.origins.end() ? "" : fmt::format("# {}\n", found->second);
  };
  for (const SectionDescription& section : Sections()) {
    text += fmt::format("\n[{}]\n", section.name);
    for (const Option& option : Options()) {
      if (option.section != section.name) continue;
      const std::string value = ValueIn(settings.config, option);
      text += fmt::format("{}{} ={}{}\n", origin_of(option.name()), option.key,
                          value.empty() ? "" : " ", value);
    }
  }
  if (settings.config.users.empty()) return text;
  text += "\n[users]\n";
  for (const User& user : settings.config.users) {
    text += fmt::format("{}{} = (hidden){}\n",
                        origin_of(fmt::format("users.{}:{}", user.account, user.user)), KeyOf(user),
                        user.is_admin ? " .admin" : "");
  }
  return text;
}

std::string Manual() {
  std::string text = "| option | default | bounds | what it is |\n|---|---|---|---|\n";
  for (const Option& option : Options()) {
    const std::string value = ValueIn(Config(), option);
    text += fmt::format("| `{}` | {} | {} | {} |\n", option.name(),
                        value.empty() ? "" : "`" + value + "`", BoundsOf(option), option.prose);
  }
  return text + fmt::format("| `users.*` | | text | {} |\n", kUsersProse);
}

std::string Sample() {
  std::string text =
      Comment(
          "Configuration of zerocloud: /etc/zerocloud/zerocloud.conf. Every option is here, "
          "with its default; take the # away before what you change. Files "
          "zerocloud.conf.d/*.conf beside this one are read after it, in the order of their "
          "names, and win.") +
      "#\n" +
      Comment(
          "`zerocloud serve --check-config` says what is in force and where it comes from, "
          "`zerocloud doctor` whether it works here. This file is what `zerocloud serve "
          "--sample` prints.");
  for (const SectionDescription& section : Sections()) {
    text += "\n" + Comment(section.prose) + fmt::format("[{}]\n", section.name);
    for (const Option& option : Options()) {
      if (option.section != section.name) continue;
      const std::string value = ValueIn(Config(), option);
      text += fmt::format("\n{}# ({})\n# {} ={}{}\n", Comment(option.prose), BoundsOf(option),
                          option.key, value.empty() ? "" : " ", value);
    }
  }
  return text + "\n" + Comment(kUsersProse) + "[users]\n\n# user_test_tester = testing .admin\n";
}

}  // namespace zerocloud::config
