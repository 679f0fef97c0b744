#include "channels/open_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channels/channel_parse.h"

namespace zerocloud::channels {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr ChannelLimits kReadOnly{1, 1, 0, 0};
constexpr ChannelLimits kWriteOnly{0, 0, 1, 1};
constexpr ChannelLimits kReadWrite{1, 1, 1, 1};

class OpenChannel : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "open_channel.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string MakeFile(const std::string& name, const std::string& content) {
    std::ofstream(Path(name)) << content;
    return Path(name);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static ChannelSpec Spec(std::string path, ChannelLimits limits,
                          AccessType type = AccessType::kRandomBoth) {
    return {.sources = {std::move(path)}, .alias = "/dev/x", .type = type, .limits = limits};
  }
  static HostResult<std::vector<OpenedChannel>> Open(const std::vector<ChannelSpec>& specs) {
    auto checked = CheckChannels(specs);
    if (!checked) return std::unexpected(checked.error());
    return OpenChannels(std::move(*checked));
  }
  static HostStatus StatusOf(const std::vector<ChannelSpec>& specs) {
    const auto opened = Open(specs);
    return opened ? HostStatus::kOk : opened.error().status;
  }
  static int FlagsOf(const OpenedChannel& channel) {
    return ::fcntl(channel.sources.front().file.get(), F_GETFL);
  }

  std::string directory_;
};

TEST_F(OpenChannel, ReadsARegularFile) {
  const auto opened = Open({Spec(MakeFile("in", "hello"), kReadOnly)});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  const OpenedChannel& channel = opened->front();
  EXPECT_EQ(channel.size, 5U);
  EXPECT_FALSE(channel.is_stream);
  EXPECT_EQ(FlagsOf(channel) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
  EXPECT_EQ(::fcntl(channel.sources.front().file.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(OpenChannel, CreatesAnOutputForItsOwnerAlone) {
  const auto opened = Open({Spec(Path("out"), kWriteOnly)});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  EXPECT_EQ(FlagsOf(opened->front()) & O_ACCMODE, O_WRONLY);
  struct stat status{};
  ASSERT_EQ(::stat(Path("out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(status.st_size, 0);  // nothing is set aside beforehand
}

TEST_F(OpenChannel, CutsAWriteOnlyFileAndKeepsAReadWriteFile) {
  MakeFile("out", "old");
  MakeFile("log", "old");
  const auto opened = Open({Spec(Path("out"), kWriteOnly),
                            Spec(Path("log"), kReadWrite, AccessType::kRandomGetSequentialPut)});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  EXPECT_EQ(Read(Path("out")), "");
  EXPECT_EQ(Read(Path("log")), "old");
  EXPECT_EQ((*opened)[0].size, 0U);
  EXPECT_EQ((*opened)[1].size, 3U);
}

TEST_F(OpenChannel, ChangesNothingUntilEverythingIsAccepted) {
  MakeFile("out", "old");
  EXPECT_EQ(StatusOf({Spec(Path("out"), kWriteOnly), Spec(Path("new"), kWriteOnly),
                      Spec(Path("missing"), kReadOnly)}),
            HostStatus::kManifest);
  EXPECT_EQ(Read(Path("out")), "old");
  EXPECT_FALSE(std::filesystem::exists(Path("new")));
  EXPECT_TRUE(CheckChannels(std::vector{Spec(Path("new"), kWriteOnly)}).has_value());
  EXPECT_FALSE(std::filesystem::exists(Path("new")));
}

TEST_F(OpenChannel, RemovesWhatItCreatedWhenALaterOutputFails) {
  MakeFile("out", "old");
  // The same new file twice: only creating it can tell.
  EXPECT_NE(StatusOf({Spec(Path("out"), kWriteOnly), Spec(Path("first"), kWriteOnly),
                      Spec(Path("twice"), kWriteOnly), Spec(Path("twice"), kWriteOnly)}),
            HostStatus::kOk);
  EXPECT_EQ(Read(Path("out")), "old");
  EXPECT_FALSE(std::filesystem::exists(Path("first")));
  EXPECT_FALSE(std::filesystem::exists(Path("twice")));
}

TEST_F(OpenChannel, RefusesToWriteAFileThatIsAlsoAnotherChannel) {
  MakeFile("data", "precious");
  ASSERT_EQ(::symlink("data", Path("link").c_str()), 0);
  const auto opened = Open({Spec(Path("data"), kReadOnly), Spec(Path("link"), kWriteOnly)});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().status, HostStatus::kManifest);
  EXPECT_THAT(opened.error().error.message, HasSubstr("are the same file"));
  EXPECT_EQ(Read(Path("data")), "precious");
  EXPECT_EQ(StatusOf({Spec(Path("data"), kReadOnly), Spec(Path("link"), kReadOnly)}),
            HostStatus::kOk);
}

TEST_F(OpenChannel, DevicesAreStreamsAndMayBeShared) {
  const auto opened = Open({Spec("/dev/null", kWriteOnly), Spec("/dev/null", kWriteOnly),
                            Spec("/dev/zero", kReadOnly, AccessType::kSequentialBoth)});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  for (const OpenedChannel& channel : *opened) {
    EXPECT_TRUE(channel.is_stream);
    EXPECT_EQ(FlagsOf(channel) & O_NONBLOCK, 0);
  }
  EXPECT_EQ(FlagsOf((*opened)[0]) & O_ACCMODE, O_WRONLY);
}

TEST_F(OpenChannel, DoesNotWaitForThePeerOfAFifo) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto reader = Open({Spec(Path("fifo"), kReadOnly, AccessType::kSequentialBoth)});
  ASSERT_TRUE(reader.has_value()) << reader.error().error.message;
  EXPECT_TRUE(reader->front().is_stream);
  EXPECT_EQ(FlagsOf(reader->front()) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
  const auto writer = Open({Spec(Path("fifo"), kWriteOnly, AccessType::kSequentialBoth)});
  ASSERT_TRUE(writer.has_value()) << writer.error().error.message;
  EXPECT_EQ(::write(writer->front().sources.front().file.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(reader->front().sources.front().file.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(OpenChannel, WaitsForAWriterThatHasWrittenNothing) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto reader = Open({Spec(Path("fifo"), kReadOnly)});
  ASSERT_TRUE(reader.has_value());
  std::promise<void> is_done;
  // Keeps its end open until the wait is over: nothing but its open() can end the wait.
  std::jthread writer([this, done = is_done.get_future()] {
    const UniqueFd fd(::open(Path("fifo").c_str(), O_WRONLY | O_CLOEXEC));
    done.wait();
  });
  EXPECT_TRUE(WaitForWriters(*reader, steady_clock::now() + std::chrono::seconds(30)).has_value());
  is_done.set_value();
}

TEST_F(OpenChannel, KeepsWhatAWriterLeftBehind) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto reader = Open({Spec(Path("fifo"), kReadOnly)});
  ASSERT_TRUE(reader.has_value());
  std::ofstream(Path("fifo")) << "gone";
  EXPECT_TRUE(WaitForWriters(*reader, steady_clock::now() + std::chrono::seconds(30)).has_value());
  char buffer[8];
  EXPECT_EQ(::read(reader->front().sources.front().file.get(), buffer, sizeof buffer), 4);
  EXPECT_EQ(::read(reader->front().sources.front().file.get(), buffer, sizeof buffer), 0);
}

TEST_F(OpenChannel, StopsWaitingForAWriterAtTheDeadline) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto reader = Open({Spec(Path("fifo"), kReadOnly), Spec("/dev/zero", kReadOnly)});
  ASSERT_TRUE(reader.has_value());
  const auto waited = WaitForWriters(*reader, steady_clock::now() + std::chrono::milliseconds(20));
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().status, HostStatus::kInterrupted);
  EXPECT_THAT(waited.error().error.message, HasSubstr(Path("fifo") + "): nobody opened"));
}

TEST_F(OpenChannel, RefusesDirectoriesAndSockets) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(listener, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_path = Path("s");
  ASSERT_LT(socket_path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(StatusOf({Spec(socket_path, kReadOnly)}), HostStatus::kUnsupported);
  EXPECT_EQ(StatusOf({Spec(socket_path, kWriteOnly)}), HostStatus::kUnsupported);
  ::close(listener);
  EXPECT_EQ(StatusOf({Spec(directory_, kReadOnly)}), HostStatus::kUnsupported);
  EXPECT_EQ(StatusOf({Spec(directory_, kWriteOnly)}), HostStatus::kUnsupported);
}

TEST_F(OpenChannel, LeavesNetworkSourcesToTheNetwork) {
  const auto opened = Open({Spec("tcp:1:2", kReadOnly, AccessType::kSequentialBoth)});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  EXPECT_TRUE(opened->front().is_stream);
  EXPECT_FALSE(opened->front().sources.front().file.is_open());
  EXPECT_EQ(StatusOf({Spec("tcp:1:2", kReadWrite, AccessType::kSequentialBoth)}),
            HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec("tcp:1:2", kReadOnly)}), HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec("tcp:1:2", kWriteOnly, AccessType::kSequentialGetRandomPut)}),
            HostStatus::kManifest);
}

TEST_F(OpenChannel, TakesTheLengthThatTwoSourcesHave) {
  ChannelSpec three = Spec(MakeFile("a", "long text"), kReadOnly);
  three.sources.push_back(MakeFile("b", "text"));
  three.sources.push_back(MakeFile("c", "text"));
  const auto opened = Open({three});
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  EXPECT_EQ(opened->front().size, 4U);
  EXPECT_EQ(opened->front().sources.size(), 3U);
  three.sources.pop_back();
  EXPECT_EQ(StatusOf({three}), HostStatus::kIo);
  three.sources[1] = "/dev/zero";
  const auto mixed = Open({three});
  ASSERT_TRUE(mixed.has_value()) << mixed.error().error.message;
  EXPECT_TRUE(mixed->front().is_stream);
  EXPECT_EQ(mixed->front().size, 0U);
}

TEST_F(OpenChannel, CreatesEverySourceOfAnOutputOrNone) {
  ChannelSpec two = Spec(Path("a"), kWriteOnly);
  two.sources.push_back(Path("b"));
  EXPECT_EQ(StatusOf({two}), HostStatus::kOk);
  EXPECT_TRUE(std::filesystem::exists(Path("a")));
  EXPECT_TRUE(std::filesystem::exists(Path("b")));
  two.sources = {Path("c"), Path("c")};
  EXPECT_NE(StatusOf({two}), HostStatus::kOk);
  EXPECT_FALSE(std::filesystem::exists(Path("c")));
  two.sources = {Path("a"), Path("a")};
  EXPECT_EQ(StatusOf({two}), HostStatus::kManifest);
}

TEST_F(OpenChannel, ExtendsEmptyOutputsWhenAskedTo) {
  MakeFile("log", "old");
  std::vector specs = {Spec(Path("out"), {0, 0, 1, 5000}), Spec(Path("huge"), {0, 0, 1, INT64_MAX}),
                       Spec(Path("log"), {1, 1, 1, 5000}, AccessType::kRandomGetSequentialPut)};
  auto checked = CheckChannels(specs);
  ASSERT_TRUE(checked.has_value()) << checked.error().error.message;
  const auto opened = OpenChannels(std::move(*checked), true);
  ASSERT_TRUE(opened.has_value()) << opened.error().error.message;
  EXPECT_EQ(std::filesystem::file_size(Path("out")), 5000U);
  EXPECT_EQ(std::filesystem::file_size(Path("log")), 3U);
}

TEST_F(OpenChannel, DoesNotWaitForTheWriterOfAPipeThatHasNone) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  ::close(ends[1]);
  const auto reader = Open({Spec("/proc/self/fd/" + std::to_string(read_end.get()), kReadOnly,
                                 AccessType::kSequentialBoth)});
  ASSERT_TRUE(reader.has_value()) << reader.error().error.message;
  EXPECT_TRUE(WaitForWriters(*reader, steady_clock::now() + std::chrono::hours(1)).has_value());
  char byte = 0;
  EXPECT_EQ(::read(reader->front().sources.front().file.get(), &byte, 1), 0);
}

TEST_F(OpenChannel, NamesTheLineOfTheManifest) {
  ChannelSpec spec = Spec(Path("none"), kReadOnly);
  spec.line = 7;
  const auto opened = Open({spec});
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().error.message,
              testing::StartsWith("MANIFEST 7: Channel: source: cannot open /dev/x ("));
}

TEST_F(OpenChannel, RefusesReadWriteWhereItHasNoMeaning) {
  MakeFile("data", "x");
  EXPECT_EQ(StatusOf({Spec(Path("data"), kReadWrite, AccessType::kSequentialBoth)}),
            HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec(Path("data"), kReadWrite, AccessType::kSequentialGetRandomPut)}),
            HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec("/dev/null", kReadWrite)}), HostStatus::kUsage);
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(StatusOf({Spec(Path("fifo"), kReadWrite)}), HostStatus::kUsage);
}

TEST_F(OpenChannel, TellsMissingFromForbidden) {
  EXPECT_EQ(StatusOf({Spec(Path("none"), kReadOnly)}), HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec(Path("none/out"), kWriteOnly)}), HostStatus::kMissing);
  EXPECT_EQ(StatusOf({Spec(MakeFile("data", "") + "/out", kWriteOnly)}), HostStatus::kMissing);
  EXPECT_EQ(StatusOf({Spec(Path("none/"), kWriteOnly)}), HostStatus::kMissing);
  ASSERT_EQ(::chmod(MakeFile("locked", "").c_str(), 0), 0);
  ASSERT_EQ(::mkdir(Path("sealed").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(Path("sealed").c_str(), 0555), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  // Who is root may open everything, so it is somebody else for a moment.
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  if (is_root) ASSERT_EQ(::seteuid(kNobody), 0);
  EXPECT_EQ(StatusOf({Spec(Path("locked"), kWriteOnly)}), HostStatus::kDenied);
  EXPECT_EQ(StatusOf({Spec(Path("locked"), kReadOnly)}), HostStatus::kManifest);
  EXPECT_EQ(StatusOf({Spec(Path("sealed/new"), kWriteOnly)}), HostStatus::kDenied);
  if (is_root) ASSERT_EQ(::seteuid(0), 0);
  ASSERT_EQ(::chmod(Path("sealed").c_str(), 0755), 0);
  // A program that is running, if it could be written at all.
  const HostStatus busy = StatusOf({Spec("/proc/self/exe", kReadWrite)});
  EXPECT_TRUE(busy == HostStatus::kIo || (!is_root && busy == HostStatus::kDenied));
}

TEST_F(OpenChannel, RunningOutOfDescriptorsIsTheHostsFault) {
  const std::string path = MakeFile("in", "x");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int more : {1, 2}) {  // the file itself can be found, but not opened; neither
    const rlimit lower = {static_cast<rlim_t>(next.get() + more), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
    const HostStatus status = StatusOf({Spec(path, kReadOnly)});
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(status, HostStatus::kUnavailable) << more;
  }
}

// Files that refuse to change their length, as one of a full or odd file system may.
TEST_F(OpenChannel, FailsWhenAnOutputCannotBeCutOrExtended) {
  const auto sealed = [](unsigned seal, const std::string& content) {
    UniqueFd file(::memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(file.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seal), 0);
    return file;
  };
  const auto error_of = [](const UniqueFd& file) {
    const std::string path = "/proc/self/fd/" + std::to_string(file.get());
    auto checked = CheckChannels(std::vector<ChannelSpec>{Spec(path, kWriteOnly)});
    EXPECT_TRUE(checked.has_value());
    const auto opened = OpenChannels(std::move(*checked), true);
    EXPECT_FALSE(opened.has_value());
    return opened ? std::string() : opened.error().error.message;
  };
  EXPECT_THAT(error_of(sealed(F_SEAL_SHRINK, "old")), HasSubstr("cannot truncate /dev/x"));
  EXPECT_THAT(error_of(sealed(F_SEAL_GROW, "")), HasSubstr("put_size: cannot extend /dev/x"));
}

TEST_F(OpenChannel, NeedsASourceAndTakesSixteen) {
  ChannelSpec spec = Spec("/dev/null", kReadOnly, AccessType::kSequentialBoth);
  spec.sources.assign(kMaxSources, "/dev/null");
  EXPECT_EQ(StatusOf({spec}), HostStatus::kOk);
  spec.sources.emplace_back("/dev/null");
  EXPECT_EQ(StatusOf({spec}), HostStatus::kManifest);
  spec.sources.clear();
  EXPECT_EQ(StatusOf({spec}), HostStatus::kManifest);
}

TEST_F(OpenChannel, DoesNotCreateThroughALinkToNothing) {
  ASSERT_EQ(::symlink("target", Path("dangling").c_str()), 0);
  EXPECT_NE(StatusOf({Spec(Path("dangling"), kWriteOnly)}), HostStatus::kOk);
  EXPECT_FALSE(std::filesystem::exists(Path("target")));
}

}  // namespace
}  // namespace zerocloud::channels
