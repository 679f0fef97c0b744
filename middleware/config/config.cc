#include "middleware/config/config.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include "middleware/config/flat_json.h"
#include "middleware/config/options.h"

namespace zerocloud::config {
namespace {

std::unexpected<Error> FailAt(std::string_view pointer, std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", pointer, sentence));
}

Result<void> SetNumber(Config& config, const NumberOption& option, std::uint64_t value) {
  if (value < option.minimum || value > option.maximum) {
    return FailAt(option.pointer,
                  fmt::format("{} is not from {} to {}.", value, option.minimum, option.maximum));
  }
  option.in(config) = value;
  return {};
}

Result<void> SetValue(Config& config, const FlatValue& value) {
  for (const TextOption& option : TextOptions()) {
    if (option.pointer != value.pointer) continue;
    if (value.kind != FlatValue::Kind::kText)
      return FailAt(value.pointer, "This must be a string.");
    option.in(config) = value.text;
    return {};
  }
  for (const NumberOption& option : NumberOptions()) {
    if (option.pointer != value.pointer) continue;
    if (value.kind != FlatValue::Kind::kNumber) {
      return FailAt(value.pointer, "This must be a whole number.");
    }
    return SetNumber(config, option, value.number);
  }
  return FailAt(value.pointer, "There is no such option.");
}

// "/users/3/key" with users already filled up to 2 makes a fourth.
Result<void> SetUser(std::vector<User>& users, const FlatValue& value) {
  std::string_view rest =
      std::string_view(value.pointer).substr(std::string_view("/users/").size());
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
  if (error != std::errc() || index > users.size()) {
    return FailAt(value.pointer, "users is a list of objects.");
  }
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (index == users.size()) users.emplace_back();
  User& user = users[index];
  if (rest == "/admin") {
    if (value.kind != FlatValue::Kind::kBool)
      return FailAt(value.pointer, "This must be a boolean.");
    user.is_admin = value.number != 0;
    return {};
  }
  std::string* field = nullptr;
  if (rest == "/account") field = &user.account;
  if (rest == "/user") field = &user.user;
  if (rest == "/key") field = &user.key;
  if (field == nullptr) {
    return FailAt(value.pointer, "A user has account, user, key and admin, nothing else.");
  }
  if (value.kind != FlatValue::Kind::kText) return FailAt(value.pointer, "This must be a string.");
  *field = value.text;
  return {};
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace

Result<void> ApplyJson(Config& config, std::string_view json) {
  const Result<std::vector<FlatValue>> values = FlattenJson(json);
  if (!values.has_value()) return Fail(values);
  bool has_users = false;
  std::vector<User> users;
  for (const FlatValue& value : *values) {
    const bool is_section =
        value.kind == FlatValue::Kind::kEmptyObject &&
        (value.pointer.empty() || std::ranges::any_of(NumberOptions(), [&](const auto& option) {
           return option.pointer.starts_with(value.pointer + "/");
         }));
    if (is_section) continue;
    if (value.pointer == "/users" && value.kind == FlatValue::Kind::kEmptyArray) {
      has_users = true;
      continue;
    }
    Result<void> done;
    if (value.pointer.starts_with("/users/")) {
      has_users = true;
      done = SetUser(users, value);
    } else {
      done = SetValue(config, value);
    }
    if (!done.has_value()) return done;
  }
  if (has_users) config.users = std::move(users);
  return {};
}

Result<void> ApplyOption(Config& config, std::string_view pointer, std::string_view value) {
  FlatValue flat{std::string(pointer), FlatValue::Kind::kText, std::string(value), 0};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool is_number = std::ranges::any_of(
      NumberOptions(), [&](const NumberOption& option) { return option.pointer == pointer; });
  if (is_number) {
    if (error != std::errc() || end != value.data() + value.size()) {
      return FailAt(pointer, fmt::format("\"{}\" is not a whole number.", value));
    }
    flat.kind = FlatValue::Kind::kNumber;
    flat.number = number;
  }
  return SetValue(config, flat);
}

Result<User> ParseUser(std::string_view text) {
  std::array<std::string_view, 4> parts;
  std::size_t count = 0;
  for (std::string_view rest = text;; ++count) {
    if (count == parts.size()) {
      return Fail(ErrorCode::kInvalid, "a user is account:user:key or account:user:key:admin");
    }
    const std::size_t colon = rest.find(':');
    parts[count] = rest.substr(0, colon);
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  ++count;
  const bool is_whole = count >= 3 && !parts[0].empty() && !parts[1].empty() && !parts[2].empty();
  if (!is_whole || (count == 4 && parts[3] != "admin")) {
    return Fail(ErrorCode::kInvalid, "a user is account:user:key or account:user:key:admin");
  }
  return User{std::string(parts[0]), std::string(parts[1]), std::string(parts[2]), count == 4};
}

Result<Endpoint> ParseEndpoint(std::string_view text) {
  const auto fail = [&] {
    return FailAt("/listen",
                  fmt::format("\"{}\" is not a numeric address and a port, like 127.0.0.1:8080 or "
                              "[::1]:8080.",
                              text));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail();
  std::string host(text.substr(0, colon));
  const std::string_view port_text = text.substr(colon + 1);
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  std::array<unsigned char, 16> address{};
  if (::inet_pton(is_bracketed ? AF_INET6 : AF_INET, host.c_str(), address.data()) != 1) {
    return fail();
  }
  Endpoint endpoint{std::move(host), 0};
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), endpoint.port);
  if (port_text.empty() || error != std::errc() || end != port_text.data() + port_text.size()) {
    return fail();
  }
  return endpoint;
}

Result<void> Check(const Config& config) {
  const Result<Endpoint> endpoint = ParseEndpoint(config.listen);
  if (!endpoint.has_value()) return Fail(endpoint);
  if (config.store.empty() == config.upstream.empty()) {
    return Fail(ErrorCode::kInvalid,
                "Exactly one of /store (a directory) and /upstream (a URL) must be set.");
  }
  if (config.server.tls_certificate.empty() != config.server.tls_key.empty()) {
    return FailAt("/server/tls_key", "A certificate and its key must be set together.");
  }
  if (!config.upstream.empty() && !config.users.empty()) {
    return FailAt("/users", "With an upstream, its own users count; list none here.");
  }
  if (config.local.devices.empty() != config.local.swift_dir.empty()) {
    return FailAt(
        "/local/swift_dir",
        "The devices and the directory of swift.conf and the rings must be set together.");
  }
  if (!config.local.devices.empty() && config.upstream.empty()) {
    return FailAt("/local/devices", "Devices are Swift's; set an /upstream too.");
  }
  if (config.log != "requests" && config.log != "nothing") {
    return FailAt("/log", "This is \"requests\" or \"nothing\".");
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (std::size_t i = 0; i < config.users.size(); ++i) {
    const User& user = config.users[i];
    const std::string pointer = fmt::format("/users/{}", i);
    if (user.account.empty() || user.user.empty() || user.key.empty()) {
      return FailAt(pointer, "A user needs account, user and key.");
    }
    if (user.account.find_first_of(":/") != std::string::npos ||
        user.user.find_first_of(":/") != std::string::npos) {
      return FailAt(pointer, "Account and user cannot hold ':' or '/'.");
    }
    if (!seen.emplace(user.account, user.user).second) {
      return FailAt(pointer, fmt::format("{}:{} is listed twice.", user.account, user.user));
    }
  }
  return {};
}

std::string Dump(const Config& config) {
  Config copy = config;  // the table's accessors take a mutable one
  std::vector<std::pair<std::string, std::string>> values;
  for (const TextOption& option : TextOptions()) {
    values.emplace_back(option.pointer, Quoted(option.in(copy)));
  }
  for (const NumberOption& option : NumberOptions()) {
    values.emplace_back(option.pointer, std::to_string(option.in(copy)));
  }
  std::string users;
  for (const User& user : config.users) {
    users += fmt::format(
        "{}\n    {{\"account\": {}, \"user\": {}, \"key\": \"(hidden)\", \"admin\": {}}}",
        users.empty() ? "" : ",", Quoted(user.account), Quoted(user.user), user.is_admin);
  }
  std::string json = "{";
  const auto separate = [&json] {
    if (json.back() != '{') json += ',';
  };
  for (const auto& [pointer, value] : values) {
    if (pointer.rfind('/') != 0) continue;
    separate();
    json += fmt::format("\n  \"{}\": {}", pointer.substr(1), value);
  }
  json += fmt::format(",\n  \"users\": [{}{}]", users, users.empty() ? "" : "\n  ");
  std::vector<std::string> sections;
  for (const auto& [pointer, value] : values) {
    const std::string section = pointer.substr(0, pointer.rfind('/'));
    if (!section.empty() && std::ranges::find(sections, section) == sections.end())
      sections.push_back(section);
  }
  for (const std::string& section : sections) {
    json += fmt::format(",\n  \"{}\": {{", section.substr(1));
    for (const auto& [pointer, value] : values) {
      if (!pointer.starts_with(section + "/")) continue;
      separate();
      json += fmt::format("\n    \"{}\": {}", pointer.substr(section.size() + 1), value);
    }
    json += "\n  }";
  }
  return json + "\n}\n";
}

std::string Manual() {
  Config defaults;
  std::string text = "| option | default | range | what it is |\n|---|---|---|---|\n";
  for (const TextOption& option : TextOptions()) {
    text += fmt::format("| `{}` | `{}` | text | {} |\n", option.pointer,
                        Quoted(option.in(defaults)), option.prose);
  }
  text +=
      "| `/users/N/account`, `/users/N/user`, `/users/N/key`, `/users/N/admin` | no users | text, "
      "`true` or `false` | Who may get a token from the embedded store. An admin owns the account; "
      "others need ACLs. |\n";
  for (const NumberOption& option : NumberOptions()) {
    text += fmt::format("| `{}` | {} {} | {} to {} | {} |\n", option.pointer, option.in(defaults),
                        option.unit, option.minimum, option.maximum, option.prose);
  }
  return text;
}

}  // namespace zerocloud::config
