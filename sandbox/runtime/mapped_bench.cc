// mapped_bench [--benchmark_...] GUEST NATIVE FILE: the time to start GUEST with FILE mapped into
// its memory and have it read all of it; against NATIVE, which maps FILE itself. Both are
// sandbox/testdata/channels/map_sum.c.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "channels/base/unique_fd.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/session.h"

namespace {

using zerocloud::UniqueFd;
using zerocloud::loader::Image;
using zerocloud::runtime::Cause;
using zerocloud::runtime::Session;
using zerocloud::runtime::SessionRequest;

bool RunGuest(const std::shared_ptr<const Image>& image, const std::string& path) {
  SessionRequest request;
  request.image = image;
  request.memory_size = std::size_t{64} << 20;
  request.timeout = std::chrono::seconds(60);
  for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
    auto& channel = request.channels.emplace_back();
    channel.spec.alias = alias;
    channel.spec.limits = {.gets = 1, .get_size = 1, .puts = 1, .put_size = 1};
    channel.file = UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
    channel.is_stream = true;
  }
  auto& input = request.channels.emplace_back();
  input.spec.alias = "/dev/input";
  input.spec.type = zerocloud::channels::AccessType::kRandomBoth;
  input.file = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (fstat(input.file.get(), &status) != 0) return false;
  input.size = static_cast<std::uint64_t>(status.st_size);
  input.spec.limits = {.gets = 1, .get_size = status.st_size};
  input.is_mapped = input.is_immutable = true;
  auto session = Session::Start(std::move(request));
  if (!session) return false;
  const auto report = (*session)->Wait();
  return report.cause == Cause::kExited && report.exit_code == 0;
}

bool RunNative(std::string program, std::string path) {
  char* const arguments[] = {program.data(), path.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  if (posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environment) != 0) {
    return false;
  }
  int status = -1;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s [--benchmark_...] GUEST NATIVE FILE\n", argv[0]);
    return 2;
  }
  const UniqueFd file(open(argv[1], O_RDONLY | O_CLOEXEC));
  const auto image = Image::LoadFile(file.get());
  if (!image) {
    std::fprintf(stderr, "mapped_bench: %s: %s\n", argv[1], image.error().message.c_str());
    return 1;
  }
  const std::string native = argv[2], path = argv[3];
  const auto add = [](const char* name, const std::function<bool()>& run) {
    const auto repeat = [run](benchmark::State& state) {
      for (auto _ : state) {
        if (!run()) return state.SkipWithError("a run failed");
      }
    };
    benchmark::RegisterBenchmark(name, repeat)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  add("guest", [&] { return RunGuest(*image, path); });
  add("native", [&] { return RunNative(native, path); });
  // Once more: what differs from the one above is noise.
  add("again", [&] { return RunNative(native, path); });
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
