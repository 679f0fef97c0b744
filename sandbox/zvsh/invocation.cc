#include "sandbox/zvsh/invocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace zerocloud::zvsh {
namespace {

constexpr std::string_view kVersion = "20130611";
constexpr std::string_view kDefaultMemory = "4294967296, 0";
constexpr std::int64_t kDefaultTimeout = 50;
constexpr std::int64_t kDefaultNode = 1;
constexpr std::int64_t kDefaultLimit = std::int64_t{1} << 32;

enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-+./:@%^~").contains(c);
}

// For nvram: whatever could end a word, a value or a line there becomes \xHH.
std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (IsPlain(c)) {
      escaped += c;
    } else {
      escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

// An alias is one field of a manifest line and one value in nvram.
std::string AliasOf(std::size_t number, std::string_view basename) {
  std::string name(basename);
  std::ranges::replace_if(name, [](char c) { return !IsPlain(c) || c == ':'; }, '_');
  return fmt::format("/dev/{}.{}", number, name);
}

std::string Basename(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

std::int64_t LimitOf(const Config& config, Limit limit) {
  return config.limits[limit].value_or(kDefaultLimit);
}

std::string ChannelLine(const Config& config, std::string_view path, std::string_view alias,
                        int type, Access access) {
  const bool reads = access != Access::kWrite, writes = access != Access::kRead;
  return fmt::format("Channel = {}, {}, {}, 0, {}, {}, {}, {}\n", path, alias, type,
                     reads ? LimitOf(config, kReads) : 0, reads ? LimitOf(config, kReadBytes) : 0,
                     writes ? LimitOf(config, kWrites) : 0,
                     writes ? LimitOf(config, kWriteBytes) : 0);
}

// The channels of files and images, numbered together in the order of the command line: files
// first.
struct Numbered {
  std::vector<std::string> files;   // alias of each file; equal for one file named twice
  std::vector<std::string> images;  // alias of each image
};

Numbered Number(const Invocation& invocation) {
  Numbered numbered;
  std::map<std::string_view, std::string> seen;
  for (const HostFile& file : invocation.files) {
    const auto [at, is_new] = seen.try_emplace(file.path);
    if (is_new) at->second = AliasOf(seen.size(), file.basename);
    numbered.files.push_back(at->second);
  }
  for (const ImageOption& image : invocation.images) {
    numbered.images.push_back(
        AliasOf(seen.size() + numbered.images.size() + 1, Basename(image.path)));
  }
  return numbered;
}

std::string_view ModeOf(StreamKind kind) {
  switch (kind) {
    case StreamKind::kTerminal:
      return "char";
    case StreamKind::kPipe:
      return "pipe";
    case StreamKind::kFile:
      return "file";
  }
  return "file";
}

std::string Mapping(std::string_view alias, std::string_view mode) {
  return fmt::format("channel={},mode={}\n", alias, mode);
}

// In the order of first mention; the last value of a name counts.
class Environment {
 public:
  void Set(const std::string& name, const std::string& value) {
    const auto found = std::ranges::find(variables_, name, &Variable::first);
    if (found == variables_.end()) {
      variables_.emplace_back(name, value);
    } else {
      found->second = value;
    }
  }
  [[nodiscard]] std::string Section() const {
    std::string text = variables_.empty() ? "" : "[env]\n";
    for (const auto& [name, value] : variables_) {
      text += fmt::format("name={},value={}\n", Escape(name), Escape(value));
    }
    return text;
  }

 private:
  using Variable = std::pair<std::string, std::string>;
  std::vector<Variable> variables_;
};

}  // namespace

bool FitsManifest(std::string_view path) {
  return path.starts_with('/') && path.find_first_of(",;:=\n\r") == std::string_view::npos &&
         path.back() != ' ' && path.back() != '\t';
}

Argument ParseArgument(std::string_view word) {
  if (!word.starts_with('@') || word.size() == 1) {
    return {Argument::Kind::kText, "", std::string(word)};
  }
  word.remove_prefix(1);
  if (word.front() == '@') return {Argument::Kind::kText, "", std::string(word)};
  const auto is_name = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const std::size_t equals = word.find('=');
  if (equals != std::string_view::npos && equals > 0 &&
      std::ranges::all_of(word.substr(0, equals), is_name)) {
    return {Argument::Kind::kVariable, std::string(word.substr(0, equals)),
            std::string(word.substr(equals + 1))};
  }
  return {Argument::Kind::kFile, "", std::string(word)};
}

std::string ComposeManifest(const Invocation& invocation) {
  const Config& config = invocation.config;
  const Numbered numbered = Number(invocation);
  std::string text = fmt::format(
      "Version = {}\nMemory = {}\nNode = {}\nTimeout = {}\nProgram = {}\n", kVersion,
      config.memory.value_or(std::string(kDefaultMemory)), config.node.value_or(kDefaultNode),
      config.timeout_seconds.value_or(kDefaultTimeout), invocation.program);
  text += ChannelLine(config, invocation.standard_input.path, "/dev/stdin", 0, Access::kRead);
  text += ChannelLine(config, invocation.standard_output.path, "/dev/stdout", 0, Access::kWrite);
  text += ChannelLine(config, invocation.standard_error.path, "/dev/stderr", 0, Access::kWrite);
  for (std::size_t i = 0; i < invocation.files.size(); ++i) {
    const bool is_repeated =
        std::find(numbered.files.begin(), numbered.files.begin() + static_cast<std::ptrdiff_t>(i),
                  numbered.files[i]) != numbered.files.begin() + static_cast<std::ptrdiff_t>(i);
    if (is_repeated) continue;
    const HostFile& file = invocation.files[i];
    text += ChannelLine(config, file.path, numbered.files[i], 3,
                        file.is_writable ? Access::kReadWrite : Access::kRead);
  }
  for (std::size_t i = 0; i < invocation.images.size(); ++i) {
    const ImageOption& image = invocation.images[i];
    text += image.access == "wo"
                ? ChannelLine(config, image.path, numbered.images[i], 2, Access::kWrite)
                : ChannelLine(config, image.path, numbered.images[i], 3, Access::kRead);
  }
  text += ChannelLine(config, invocation.program, "/dev/self", 3, Access::kRead);
  if (!invocation.debug_path.empty()) {
    text += ChannelLine(config, invocation.debug_path, "/dev/debug", 0, Access::kWrite);
  }
  text += ChannelLine(config, invocation.nvram_path, "/dev/nvram", 3, Access::kRead);
  return text;
}

Result<std::string> ComposeNvram(const Invocation& invocation) {
  const Numbered numbered = Number(invocation);
  std::string arguments = Escape(invocation.name);
  Environment environment;
  for (const auto& [name, value] : invocation.config.environment) environment.Set(name, value);
  std::size_t file = 0;
  for (const Argument& argument : invocation.arguments) {
    switch (argument.kind) {
      case Argument::Kind::kText:
        arguments += argument.text.empty() ? R"( "")" : " " + Escape(argument.text);
        break;
      case Argument::Kind::kFile:
        arguments += " " + numbered.files[file++];
        break;
      case Argument::Kind::kVariable:
        environment.Set(argument.name, argument.text);
        break;
    }
  }
  std::string text = "[args]\nargs = " + arguments + "\n";
  text += environment.Section();
  if (!invocation.images.empty()) text += "[fstab]\n";
  for (std::size_t i = 0; i < invocation.images.size(); ++i) {
    const ImageOption& image = invocation.images[i];
    text += fmt::format("channel={},mountpoint={},access={},removable=no\n", numbered.images[i],
                        Escape(image.mountpoint), image.access);
  }
  text += "[mapping]\n";
  text += Mapping("/dev/stdin", ModeOf(invocation.standard_input.kind));
  text += Mapping("/dev/stdout", ModeOf(invocation.standard_output.kind));
  text += Mapping("/dev/stderr", ModeOf(invocation.standard_error.kind));
  for (std::size_t i = 0; i < numbered.files.size(); ++i) {
    const auto begin = numbered.files.begin();
    if (std::find(begin, begin + static_cast<std::ptrdiff_t>(i), numbered.files[i]) ==
        begin + static_cast<std::ptrdiff_t>(i)) {
      text += Mapping(numbered.files[i], "file");
    }
  }
  if (invocation.verbosity >= 0)
    text += fmt::format("[debug]\nverbosity={}\n", invocation.verbosity);
  if (text.size() > kMaxNvramSize) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("arguments, environment and mounts take {} bytes of nvram; a guest "
                            "reads {}: put what is long into a file and name it as @file",
                            text.size(), kMaxNvramSize));
  }
  return text;
}

}  // namespace zerocloud::zvsh
