#include "middleware/tools/configuration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace zerocloud::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 1000;
constexpr std::uintmax_t kMaxFileBytes = 1 << 20;  // as config/ini.h

Result<void> ReadFile(config::Settings& settings, const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!error && !fs::is_regular_file(status)) {
    return Fail(ErrorCode::kInvalid, path + " is no regular file.");
  }
  if (!error && fs::file_size(path, error) > kMaxFileBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("{} has more than {} bytes, the limit.", path, kMaxFileBytes));
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file) return FailErrno("cannot read " + path);
  return config::ApplyIni(settings, path, text);
}

Result<void> ReadDirectory(config::Settings& settings, const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(path, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with('.') && name.ends_with(".conf")) names.push_back(entry->path());
    if (names.size() > kMaxFiles) {
      return Fail(ErrorCode::kLimitExceeded,
                  fmt::format("{} holds more than {} files *.conf, the limit.", path, kMaxFiles));
    }
  }
  if (error) return FailErrno("cannot read " + path, error.value());
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (const auto read = ReadFile(settings, name); !read.has_value()) return read;
  }
  return {};
}

Result<void> ReadFiles(config::Settings& settings, const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return ReadDirectory(settings, path);
  if (const auto read = ReadFile(settings, path); !read.has_value()) return read;
  const std::string more = path + ".d";
  return fs::is_directory(more, error) ? ReadDirectory(settings, more) : Result<void>();
}

Result<void> ApplyLine(config::Settings& settings, const CommandLine& line) {
  const auto set = [&settings](std::string_view name, const std::string& value) {
    return value.empty() ? Result<void>() : config::ApplyOption(settings, name, value);
  };
  for (const auto& [name, value] : {std::pair("zerocloud.listen", &line.listen),
                                    {"zerocloud.store", &line.store},
                                    {"zerocloud.upstream", &line.upstream},
                                    {"local.devices", &line.devices},
                                    {"local.swift_dir", &line.swift_dir}}) {
    if (const auto done = set(name, *value); !done.has_value()) return done;
  }
  for (const std::string& setting : line.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      return Fail(ErrorCode::kInvalid, "--set " + setting + ": this is SECTION.KEY=VALUE.");
    }
    const auto done =
        config::ApplyOption(settings, setting.substr(0, equals), setting.substr(equals + 1));
    if (!done.has_value()) return done;
  }
  if (!line.users.empty()) settings.config.users.clear();
  for (const std::string& text : line.users) {
    auto user = config::ParseUser(text);
    if (!user.has_value()) return Fail(user);
    settings.origins[fmt::format("users.{}:{}", user->account, user->user)] = "the command line";
    settings.config.users.push_back(std::move(*user));
  }
  return {};
}

}  // namespace

Result<config::Settings> ReadConfiguration(const CommandLine& line) {
  config::Settings settings;
  std::string path = line.config;
  std::error_code error;
  if (path.empty() && line.store.empty() && line.upstream.empty() &&
      fs::exists(kConfigurationFile, error)) {
    path = kConfigurationFile;
  }
  if (!path.empty()) {
    if (const auto read = ReadFiles(settings, path); !read.has_value()) return Fail(read);
  }
  if (const auto applied = ApplyLine(settings, line); !applied.has_value()) return Fail(applied);
  return settings;
}

}  // namespace zerocloud::tools
