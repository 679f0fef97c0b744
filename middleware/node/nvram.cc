#include "middleware/node/nvram.h"

#include <fmt/format.h>

#include <vector>

#include "middleware/job/job_limits.h"

namespace zerocloud::node {
namespace {

std::string PathOf(const job::ObjectUrl& url) {
  return fmt::format("/{}/{}/{}", url.account, url.container, url.object);
}

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

Result<std::string> WriteNvram(const plan::Plan& plan, const plan::Session& session,
                               const std::optional<LocalObject>& local, std::uint64_t limit) {
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
  if (local) {
    environment.Set("LOCAL_OBJECT", "on");
    environment.Set("LOCAL_PATH_INFO", PathOf(local->binding->object));
    environment.Set("LOCAL_DOCUMENT_ROOT",
                    fmt::format("/dev/{}", job::ToString(local->binding->device)));
    environment.Set("LOCAL_CONTENT_TYPE", local->info.content_type);
    environment.Set("LOCAL_CONTENT_LENGTH", fmt::format("{}", local->info.size));
    environment.Set("LOCAL_HTTP_ETAG", local->info.etag);
  }
  text += "\n[env]\n";
  for (const auto& [name, value] : environment.variables()) {
    text += fmt::format("name={},value={}\n", EscapeNvram(name), EscapeNvram(value));
  }
  if (text.size() > limit) {
    return job::OverLimit(fmt::format("{}: bytes of arguments and environment:", group.pointer),
                          "nvram_bytes", limit, text.size());
  }
  return text;
}

}  // namespace zerocloud::node
