#include "middleware/node/nvram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace zerocloud::node {
namespace {

// exec.env first; what the middleware knows wins over it.
class Environment {
 public:
  void Set(const std::string& name, std::string value) {
    for (auto& [known, old] : variables_) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    variables_.emplace_back(name, std::move(value));
  }
  [[nodiscard]] const auto& variables() const { return variables_; }

 private:
  std::vector<std::pair<std::string, std::string>> variables_;
};

constexpr std::array<std::string_view, 6> kLocalNames = {
    "LOCAL_OBJECT",       "LOCAL_PATH_INFO",      "LOCAL_DOCUMENT_ROOT",
    "LOCAL_CONTENT_TYPE", "LOCAL_CONTENT_LENGTH", "LOCAL_HTTP_ETAG"};

std::string Record(std::string_view name, std::string_view value) {
  return fmt::format("name={},value={}\n", EscapeNvram(name), EscapeNvram(value));
}

}  // namespace

std::string EscapeNvram(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == ',' || c == '"' || c == '\\' || c == '#') {
      escaped += fmt::format("\\x{:02x}", byte);
    } else {
      escaped.push_back(c);
    }
  }
  return escaped;
}

std::string WriteNvram(const plan::Plan& plan, const plan::Session& session, bool has_local) {
  const job::Group& group = plan.spec.groups[session.group];
  const std::string& program = group.program_name.empty() ? session.name : group.program_name;
  std::string text = "[args]\nargs=" + EscapeNvram(program);
  for (const std::string& argument : group.args) {
    text += ' ';
    text += argument.empty() ? "\"\"" : EscapeNvram(argument);
  }

  Environment environment;
  for (const auto& [name, value] : group.env) environment.Set(name, value);
  environment.Set("SCRIPT_NAME", program);
  environment.Set("SCRIPT_FILENAME", group.program.ToString());
  environment.Set("PATH_INFO", plan.origin.object ? fmt::format("/{}/{}/{}", plan.origin.account,
                                                                plan.origin.object->container,
                                                                plan.origin.object->object)
                                                  : "/" + plan.origin.account);
  environment.Set("SESSION_NAME", session.name);
  environment.Set("GROUP_NAME", group.name);
  environment.Set("SESSION_NUMBER", fmt::format("{}", session.number));
  environment.Set("SESSION_COUNT", fmt::format("{}", plan.group_sizes[session.group]));
  text += "\n[env]\n";
  for (const auto& [name, value] : environment.variables()) {
    if (has_local && std::ranges::find(kLocalNames, name) != kLocalNames.end()) continue;
    text += Record(name, value);
  }
  return text;
}

std::string LocalNvram(const LocalObject& local) {
  return Record(kLocalNames[0], "on") + Record(kLocalNames[1], local.path.ToString()) +
         Record(kLocalNames[2], local.alias) + Record(kLocalNames[3], local.info.content_type) +
         Record(kLocalNames[4], fmt::format("{}", local.info.size)) +
         Record(kLocalNames[5], local.info.etag);
}

}  // namespace zerocloud::node
