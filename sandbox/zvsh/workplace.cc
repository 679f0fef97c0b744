#include "sandbox/zvsh/workplace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "channels/base/unique_fd.h"
#include "sandbox/zvsh/archive.h"

namespace zerocloud::zvsh {
namespace {

namespace fs = std::filesystem;

UniqueFd Open(const std::string& path, int flags, mode_t mode = 0) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode));
}

Result<std::string> Absolute(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return FailErrno(path, error.value());
  return absolute.lexically_normal().string();
}

// A variable of our own environment. One thread, so nobody changes it meanwhile.
std::string Variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

Result<void> WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("cannot write " + path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::size_t> ReadSome(int fd, std::uint64_t offset, std::span<char> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("cannot read");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

bool IsRegular(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// Copies a member of an archive into the workplace.
Result<void> Extract(int archive, const Member& member, const std::string& path) {
  const UniqueFd out = Open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
  if (!out.is_open()) return FailErrno("cannot make " + path);
  std::array<char, 64 << 10> buffer{};
  for (std::uint64_t done = 0; done < member.size;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), member.size - done));
    const auto n = ReadSome(archive, member.offset + done, piece);
    if (!n) return Fail(n);
    if (*n == 0) return Fail(ErrorCode::kInvalid, "the archive ends in the middle of the command");
    if (auto written = WriteAll(out.get(), {buffer.data(), *n}, path); !written) return written;
    done += *n;
  }
  return {};
}

// The command as a path of the host.
Result<std::string> FindCommand(const Workplace& workplace, const std::string& command,
                                const std::vector<ImageOption>& images) {
  if (IsRegular(command)) return Absolute(command);
  for (const ImageOption& image : images) {
    if (image.access != "ro") continue;
    const UniqueFd archive = Open(image.path, O_RDONLY);
    if (!archive.is_open()) return FailErrno("cannot open the image " + image.path);
    const ReadAt read = [&archive](std::uint64_t offset, std::span<char> bytes) {
      return ReadSome(archive.get(), offset, bytes);
    };
    const auto member = FindMember(read, command);
    if (!member) {
      return Fail(member.error().code,
                  fmt::format("the image {}: {}", image.path, member.error().message));
    }
    const std::optional<Member>& found = *member;
    if (!found) continue;
    std::string path = workplace.Path(kProgramName);
    if (const auto extracted = Extract(archive.get(), *found, path); !extracted) {
      return Fail(extracted);
    }
    return path;
  }
  return Fail(ErrorCode::kNotFound,
              fmt::format("the command '{}' is no file{}", command,
                          images.empty() ? "" : ", and in none of the images"));
}

Result<HostFile> FindFile(Workplace& workplace, const std::string& path) {
  HostFile file;
  UniqueFd opened = Open(path, O_RDWR | O_CREAT | O_NONBLOCK, 0666);
  file.is_writable = opened.is_open();
  if (!opened.is_open()) opened = Open(path, O_RDONLY | O_NONBLOCK);
  if (!opened.is_open()) return FailErrno(fmt::format("@{}: cannot open it", path));
  struct stat status{};
  if (::fstat(opened.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("@{}: it is no regular file; the standard streams can be pipes or "
                            "devices, an argument cannot",
                            path));
  }
  auto absolute = Absolute(path);
  if (!absolute) return Fail(absolute);
  file.basename = fs::path(*absolute).filename().string();
  auto fit = workplace.Fit(*absolute);
  if (!fit) return Fail(fit);
  file.path = std::move(*fit);
  return file;
}

Result<ImageOption> FindImage(Workplace& workplace, const ImageOption& image,
                              const std::vector<ImageOption>& all) {
  auto path = Absolute(image.path);
  if (!path) return Fail(path);
  const bool is_written = image.access == "wo";
  const bool is_read_too = is_written && std::ranges::any_of(all, [&](const ImageOption& other) {
                             const auto other_path = Absolute(other.path);
                             return other.access == "ro" && other_path && *other_path == *path;
                           });
  if (is_read_too) *path += ".new";
  if (!is_written && !IsRegular(*path)) {
    return Fail(ErrorCode::kNotFound, fmt::format("the image {} is no file", image.path));
  }
  auto fit = workplace.Fit(*path);
  if (!fit) return Fail(fit);
  return ImageOption{std::move(*fit), image.mountpoint, image.access};
}

Result<std::optional<Config>> ReadConfig(const std::string& path) {
  const UniqueFd file = Open(path, O_RDONLY);
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return FailErrno("cannot open " + path);
  }
  std::string text(kMaxConfigSize + 1, '\0');
  const auto size = ReadSome(file.get(), 0, text);
  if (!size) return Fail(size.error().code, path + ": " + size.error().message);
  text.resize(*size);
  auto config = ParseConfig(text);
  if (!config) return Fail(config.error().code, path + ": " + config.error().message);
  return std::move(*config);
}

}  // namespace

Result<Workplace> Workplace::Make(const std::string& save_directory) {
  if (save_directory.empty()) {
    const std::string parent = Variable("TMPDIR");
    std::string directory = (parent.empty() ? "/tmp" : parent) + "/zvsh.XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) return FailErrno("cannot make " + directory);
    return Workplace(std::move(directory), false);
  }
  const auto directory = Absolute(save_directory);
  if (!directory) return Fail(directory);
  std::error_code error;
  fs::create_directories(*directory, error);
  if (error) return FailErrno("cannot make the directory " + *directory, error.value());
  if (!FitsManifest(*directory)) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("the directory {} cannot stand in a manifest: there must be no , ; : = "
                            "in its path",
                            *directory));
  }
  Workplace workplace(*directory, true);
  for (const std::string_view name : {kManifestName, kNvramName, kProgramName, kInputName,
                                      kOutputName, kErrorName, kReportName, kGdbName}) {
    if (fs::exists(fs::symlink_status(workplace.Path(name), error))) {
      return Fail(ErrorCode::kConflict,
                  fmt::format("{} is there already; name another directory or remove it",
                              workplace.Path(name)));
    }
  }
  return workplace;
}

Workplace::Workplace(Workplace&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      is_kept_(other.is_kept_),
      links_(other.links_) {}

Workplace::~Workplace() {
  if (is_kept_ || directory_.empty()) return;
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string Workplace::Path(std::string_view name) const {
  return directory_ + "/" + std::string(name);
}

Result<void> Workplace::Write(std::string_view name, std::string_view text) const {
  const std::string path = Path(name);
  const UniqueFd file = Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file.is_open()) return FailErrno("cannot make " + path);
  return WriteAll(file.get(), text, path);
}

Result<void> Workplace::MakeFifo(std::string_view name) const {
  if (::mkfifo(Path(name).c_str(), 0600) != 0) return FailErrno("cannot make " + Path(name));
  return {};
}

Result<std::string> Workplace::Fit(const std::string& path) {
  if (FitsManifest(path)) return path;
  std::string link = Path(fmt::format("link.{}", ++links_));
  if (::symlink(path.c_str(), link.c_str()) != 0) return FailErrno("cannot make " + link);
  return link;
}

Result<Config> ReadConfigFiles() {
  std::vector<std::string> paths = {"zvsh.cfg"};
  if (const std::string home = Variable("HOME"); !home.empty())
    paths.push_back(home + "/.zvsh.cfg");
  paths.emplace_back("/etc/zvsh.cfg");
  Config config;
  for (const std::string& path : paths) {
    const auto read = ReadConfig(path);
    if (!read) return Fail(read);
    if (const std::optional<Config>& found = *read; found) MergeUnder(config, *found);
  }
  return config;
}

Result<Invocation> Resolve(Workplace& workplace, const std::string& command,
                           const std::vector<std::string>& arguments, const Config& config) {
  Invocation invocation;
  invocation.config = config;
  invocation.name = fs::path(command).filename().string();
  auto program = FindCommand(workplace, command, config.images);
  if (!program) return Fail(program);
  auto fit = workplace.Fit(*program);
  if (!fit) return Fail(fit);
  invocation.program = std::move(*fit);
  for (const std::string& word : arguments) {
    const Argument argument = ParseArgument(word);
    if (argument.kind == Argument::Kind::kFile) {
      auto file = FindFile(workplace, argument.text);
      if (!file) return Fail(file);
      if (file->path == invocation.program) file->is_writable = false;
      invocation.files.push_back(std::move(*file));
    }
    invocation.arguments.push_back(argument);
  }
  for (const ImageOption& image : config.images) {
    auto found = FindImage(workplace, image, config.images);
    if (!found) return Fail(found);
    invocation.images.push_back(std::move(*found));
  }
  return invocation;
}

}  // namespace zerocloud::zvsh
