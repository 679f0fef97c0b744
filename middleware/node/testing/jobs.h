// Jobs as tests write them, and what a test looks at before and after one.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "middleware/job/job_spec.h"
#include "middleware/node/engine.h"

namespace zerocloud::node {

// A group of the program ~/bin/`program`: name, arguments, devices and more members as JSON.
inline std::string GroupOf(std::string_view program, std::string_view name, std::string_view args,
                           std::string_view devices = "", std::string_view more = "") {
  return R"({"name": ")" + std::string(name) + R"(", "exec": {"path": "swift://~/bin/)" +
         std::string(program) + R"(", "args": ")" + std::string(args) + R"("}, "devices": [)" +
         std::string(devices) + "]" + std::string(more) + "}";
}
inline constexpr std::string_view kStdout = R"({"name": "stdout"})";

// The job of those groups, asked for by AUTH_me.
inline JobRequest RequestOf(const std::string& groups, const job::JobLimits& limits) {
  Result<job::JobSpec> spec = job::ParseJob("[" + groups + "]", limits);
  EXPECT_TRUE(spec.has_value()) << spec.error().message;
  return {.spec = std::move(*spec),
          .origin = {.account = "AUTH_me", .object = std::nullopt},
          .caller = {.account = "AUTH_me", .user = "me", .token = "t"}};
}

// A thread that starts may hold one for a moment (the allocator counts processors), so compare with
// "no more than before".
inline std::size_t CountDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

}  // namespace zerocloud::node
