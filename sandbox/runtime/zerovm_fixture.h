// What the tests of the zerovm program share: manifests in, files, reports and exit codes out, with
// real guests from sandbox/testdata/channels.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {

inline constexpr int kBadHandle = -9;
inline constexpr int kFault = -14;
inline constexpr int kInvalid = -22;
inline constexpr int kOverQuota = -122;

struct Outcome {
  int exit_code = -1;
  std::string output;
  std::vector<std::string> lines;  // of the output
};

inline std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

inline Outcome RunProgram(const std::string& program, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  pid_t pid = -1;
  EXPECT_EQ(::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  write_end.Reset();

  Outcome run;
  run.output = ReadAll(read_end.get());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::istringstream stream(run.output);
  for (std::string line; std::getline(stream, line);) run.lines.push_back(line);
  run.lines.resize(std::max<std::size_t>(run.lines.size(), 6));
  return run;
}

inline Outcome RunZerovm(std::vector<std::string> arguments) {
  return RunProgram(ZEROCLOUD_ZEROVM, std::move(arguments));
}

// The lines of a manifest, each replaceable by its key.
struct ManifestText {
  std::string version = "Version = 20130611";
  std::string program;
  std::string memory = "Memory = 67108864, 0";
  std::string timeout = "Timeout = 30";
  std::string standard_in = "Channel = /dev/null, /dev/stdin, 0, 0, 99, 99999, 0, 0";
  std::string standard_out = "Channel = /dev/null, /dev/stdout, 0, 0, 0, 0, 99, 99999";
  std::string standard_err = "Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 99, 99999";
  std::string more;

  [[nodiscard]] std::string Text() const {
    return version + "\n" + program + "\n" + memory + "\n" + timeout + "\n" + standard_in + "\n" +
           standard_out + "\n" + standard_err + "\n" + more + "\n";
  }
};

class Zerovm : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "zerovm.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    manifest_.program = Program("exit_1234");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::string Program(const std::string& guest) {
    return std::string("Program = ") + ZEROCLOUD_CHANNEL_GUESTS + guest;
  }
  [[nodiscard]] std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }
  [[nodiscard]] std::string Content(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::string Channel(const std::string& path, const std::string& rest) {
    return "Channel = " + path + ", " + rest;
  }

  Outcome Start(const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = options;
    arguments.push_back(Write("manifest", manifest_.Text()));
    return RunZerovm(arguments);
  }
  int CodeWith(std::string ManifestText::* line, const std::string& text) {
    const ManifestText before = manifest_;
    manifest_.*line = text;
    const int code = Start().exit_code;
    manifest_ = before;
    return code;
  }

  // Runs the guest that makes the calls of `script`; what each returned.
  std::vector<std::int64_t> Calls(const std::string& script) {
    manifest_.program = Program("calls");
    manifest_.more += "\n" + Channel(Write("script", script), "/dev/script, 3, 0, 9, 99999, 0, 0");
    manifest_.more += "\n" + Channel(Path("result"), "/dev/result, 0, 0, 0, 0, 9, 99999");
    const Outcome run = Start();
    EXPECT_EQ(run.exit_code, 0) << run.output;
    EXPECT_EQ(run.lines[2], "0") << run.output;
    std::istringstream stream(Content("result"));
    std::vector<std::int64_t> results;
    for (std::int64_t result = 0; stream >> result;) results.push_back(result);
    return results;
  }

  std::string directory_;
  ManifestText manifest_;
};

// The standard channels are 0, 1, 2; /dev/result and /dev/script come before /dev/x.
inline constexpr const char* kX = "5";

inline std::string ReadX(std::int64_t size, std::int64_t offset) {
  return std::string("r ") + kX + " d 0 " + std::to_string(size) + " " + std::to_string(offset) +
         "\n";
}
inline std::string WriteX(std::int64_t size, std::int64_t offset) {
  return std::string("w ") + kX + " d 0 " + std::to_string(size) + " " + std::to_string(offset) +
         "\n";
}
inline std::string SizeX() { return std::string("s ") + kX + "\n"; }

}  // namespace zerocloud::runtime
