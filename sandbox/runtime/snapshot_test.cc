// fork from the host's side: what a session leaves, what may be made of it, and how sessions go on.
#include "sandbox/runtime/snapshot.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/include/zvm.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;

std::shared_ptr<const loader::Image> LoadGuest(const std::string& name) {
  const std::string path = ZEROCLOUD_CHANNEL_GUESTS + name;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto image = loader::Image::LoadFile(file.get());
  EXPECT_TRUE(image) << path << ": " << image.error().message;
  return image ? *image : nullptr;
}

class SnapshotTest : public ::testing::Test {
 protected:
  static UniqueFd MemoryFile(const std::string& bytes) {
    UniqueFd file(memfd_create("snapshot_test", MFD_CLOEXEC));
    EXPECT_EQ(pwrite(file.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return file;
  }
  static std::string Bytes(const UniqueFd& file) {
    std::string bytes(1000, '\0');
    bytes.resize(static_cast<std::size_t>(pread(file.get(), bytes.data(), bytes.size(), 0)));
    return bytes;
  }

  // The three standard channels; keeps a descriptor of each file.
  SessionRequest Request(const std::string& input) {
    SessionRequest request;
    request.memory_size = kMemory;
    request.timeout = std::chrono::seconds(20);
    input_ = MemoryFile(input);
    output_ = MemoryFile("");
    errors_ = MemoryFile("");
    const auto add = [&](const char* alias, const UniqueFd& file, channels::ChannelLimits limits) {
      auto& channel = request.channels.emplace_back();
      channel.spec.alias = alias;
      channel.spec.limits = limits;
      channel.file.Reset(dup(file.get()));
    };
    add("/dev/stdin", input_, {9, 1000, 0, 0});
    request.channels.back().size = input.size();
    add("/dev/stdout", output_, {0, 0, 9, 1000});
    add("/dev/stderr", errors_, {0, 0, 9, 1000});
    return request;
  }

  static SessionReport Run(SessionRequest request) {
    auto session = Session::Start(std::move(request));
    if (!session) {
      SessionReport report;
      report.message = session.error().message;
      return report;
    }
    return (*session)->Wait();
  }

  std::shared_ptr<const Snapshot> Fork(const std::string& guest = "fork") {
    SessionRequest request = Request("");
    request.image = LoadGuest(guest);
    request.wants_snapshot = true;
    const SessionReport report = Run(std::move(request));
    EXPECT_EQ(report.cause, Cause::kForked) << report.message;
    return report.snapshot;
  }

  SessionReport Continue(const std::shared_ptr<const Snapshot>& snapshot,
                         const std::string& input = "") {
    SessionRequest request = Request(input);
    request.snapshot = snapshot;
    return Run(std::move(request));
  }

  UniqueFd input_, output_, errors_;
};

TEST_F(SnapshotTest, ForkEndsTheSessionAndLeavesASnapshot) {
  SessionRequest request = Request("");
  request.image = LoadGuest("fork");
  request.wants_snapshot = true;
  const SessionReport report = Run(std::move(request));
  EXPECT_EQ(report.cause, Cause::kForked) << report.message;
  ASSERT_NE(report.snapshot, nullptr);
  EXPECT_EQ(Bytes(errors_), "before fork!!\n");
  EXPECT_EQ(report.channels[2].puts, 1U);
  EXPECT_FALSE(report.snapshot->runs().empty());
}

TEST_F(SnapshotTest, ForkIsZeroAtOnceWhereNoSnapshotIsWanted) {
  SessionRequest request = Request("line");
  request.image = LoadGuest("fork");
  const SessionReport report = Run(std::move(request));
  EXPECT_EQ(report.cause, Cause::kExited) << report.message;
  EXPECT_EQ(report.exit_code, 7);
  EXPECT_EQ(Bytes(errors_), "before fork!!\nafter");
}

TEST_F(SnapshotTest, SessionsGoOnAfterTheForkEachWithItsOwnChannels) {
  const auto snapshot = Fork();
  ASSERT_NE(snapshot, nullptr);
  for (const char* input : {"first", "second", "third"}) {
    const SessionReport report = Continue(snapshot, input);
    EXPECT_EQ(report.cause, Cause::kExited) << report.message;
    EXPECT_EQ(report.exit_code, 7) << "the guest's memory or registers are not what they were";
    EXPECT_EQ(Bytes(output_), input);
    EXPECT_EQ(Bytes(errors_), std::string(14, '\0') + "after") << "a hole for what was before";
    EXPECT_EQ(report.channels[2].puts, 1U) << "accounting starts at zero";
    EXPECT_EQ(report.channels[2].put_bytes, 5U);
    EXPECT_EQ(report.channels[2].size, 19U);
  }
}

TEST_F(SnapshotTest, SessionThatGoesOnCanForkAgain) {
  const auto snapshot = Fork("fork_twice");
  ASSERT_NE(snapshot, nullptr);
  SessionRequest request = Request("");
  request.snapshot = snapshot;
  request.wants_snapshot = true;
  const SessionReport second = Run(std::move(request));
  ASSERT_EQ(second.cause, Cause::kForked) << second.message;
  const SessionReport third = Continue(second.snapshot);
  EXPECT_EQ(third.cause, Cause::kExited) << third.message;
  EXPECT_EQ(third.exit_code, 12) << "one from each session";
}

TEST_F(SnapshotTest, ChannelsThatDifferAreRefusedByName) {
  const auto snapshot = Fork();
  ASSERT_NE(snapshot, nullptr);
  const auto refused = [&](const std::function<void(SessionRequest&)>& change) {
    SessionRequest request = Request("");
    request.snapshot = snapshot;
    change(request);
    auto session = Session::Start(std::move(request));
    EXPECT_FALSE(session);
    return session ? "" : session.error().message;
  };
  EXPECT_EQ(refused([](auto& r) { r.channels[2].spec.alias = "/dev/x"; }),
            "channel 2 is /dev/x, and was /dev/stderr at the fork");
  EXPECT_EQ(refused([](auto& r) { r.channels[1].spec.limits.puts = 10; }),
            "/dev/stdout has another limit than at the fork");
  EXPECT_EQ(refused([](auto& r) {
              r.channels[0].spec.type = channels::AccessType::kRandomGetSequentialPut;
            }),
            "/dev/stdin has another type than at the fork");
  EXPECT_EQ(refused([](auto& r) { r.channels.pop_back(); }), "2 channels, and 3 at the fork");
}

// A session process that somebody broke into can leave anything. Each of these is one lie.
class HostileSnapshot : public SnapshotTest {
 protected:
  HostileSnapshot() : image_(LoadGuest("fork")) {
    const ImageAndHeap where = Where();
    data_ = where.data;
    heap_ = where.heap;
    state_.registers.rsp = kGuestEnd - 4096;
    state_.registers.mxcsr = 0x1f80;
    state_.positions.resize(1);
    auto file = Snapshot::NewFile();
    EXPECT_TRUE(file);
    file_ = std::move(*file);
  }

  struct ImageAndHeap {
    std::uint64_t data, heap;
  };
  [[nodiscard]] ImageAndHeap Where() const {
    const auto space = LayOut(ImageRegions(image_->layout()), kMemory, {});
    EXPECT_TRUE(space);
    std::uint64_t data = 0;
    for (const Region& region : space->regions) {
      if (data == 0 && (region.access & kWrite) != 0) data = region.address;
    }
    return {data, space->heap_address};
  }

  void Put(std::uint64_t address, const std::string& bytes) {
    EXPECT_EQ(pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(address)),
              static_cast<ssize_t>(bytes.size()));
  }

  Result<std::shared_ptr<const Snapshot>> Make() {
    channels::ChannelSpec channel;
    channel.alias = "/dev/stdin";
    return Snapshot::Make(image_, kMemory, {channel}, state_, std::move(file_));
  }
  std::string Refusal() {
    const auto made = Make();
    EXPECT_FALSE(made);
    return made ? "" : made.error().message;
  }

  std::shared_ptr<const loader::Image> image_;
  std::uint64_t data_, heap_;
  ForkedState state_;
  UniqueFd file_;
};

TEST_F(HostileSnapshot, TruthIsAccepted) {
  Put(data_, "x");
  Put(heap_ + 4096, "x");
  Put(kGuestEnd - 1, "x");
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ((*made)->runs().size(), 3U);
  for (const Region& run : (*made)->runs()) {
    EXPECT_EQ(run.size, kPageSize);
    EXPECT_EQ(run.image_offset, run.address);
    EXPECT_EQ(run.access, kRead | kWrite);
  }
  // Nobody changes it any more.
  EXPECT_EQ(pwrite((*made)->memory_file(), "y", 1, static_cast<off_t>(data_)), -1);
  EXPECT_EQ(ftruncate((*made)->memory_file(), 0), -1);
}

TEST_F(HostileSnapshot, PagesLieOnlyWhereTheGuestCanWrite) {
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{ZVM_GATE_ADDRESS}, std::uint64_t{ZVM_MANIFEST_ADDRESS},
        std::uint64_t{ZVM_IMAGE_ADDRESS}, std::uint64_t{ZVM_STACK_ADDRESS} - 4096,
        heap_ + kMemory}) {
    file_ = std::move(*Snapshot::NewFile());
    Put(address, "x");
    EXPECT_NE(Refusal().find("where the guest cannot write"), std::string::npos)
        << std::hex << address;
  }
}

TEST_F(HostileSnapshot, StackPointerIsInWritableMemory) {
  for (const std::uint64_t rsp :
       {std::uint64_t{0}, std::uint64_t{ZVM_IMAGE_ADDRESS}, kGuestEnd, kGuestEnd - 7,
        kGuestEnd + heap_, ~std::uint64_t{0}, std::uint64_t{1} << 47}) {
    file_ = std::move(*Snapshot::NewFile());
    state_.registers.rsp = rsp;
    EXPECT_NE(Refusal().find("stack pointer"), std::string::npos) << std::hex << rsp;
  }
}

TEST_F(HostileSnapshot, ControlRegisterHasNoReservedBits) {
  state_.registers.mxcsr = 0x10000;
  EXPECT_NE(Refusal().find("MXCSR"), std::string::npos);
}

TEST_F(HostileSnapshot, PositionsCannotOverflow) {
  for (const std::int64_t position : {std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
    file_ = std::move(*Snapshot::NewFile());
    state_.positions[0].get_position = position;
    EXPECT_NE(Refusal().find("/dev/stdin stands at"), std::string::npos);
  }
  file_ = std::move(*Snapshot::NewFile());
  state_.positions.clear();
  EXPECT_NE(Refusal().find("0 channels instead of 1"), std::string::npos);
}

TEST_F(HostileSnapshot, JailedCodeIsVerifiedAgain) {
  const Region code{heap_ + 0x10000, kPageSize, 0, kRead | kExecute, RegionSource::kJailed};
  state_.jailed = {code};
  Put(code.address, std::string(kPageSize, '\x90'));
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ((*made)->runs().size(), 1U);
  EXPECT_EQ((*made)->runs()[0].access, kRead | kExecute);

  file_ = std::move(*Snapshot::NewFile());
  Put(code.address, std::string(kPageSize - 2, '\x90') + "\x0f\x05");
  EXPECT_NE(Refusal().find("jailed code breaks rule V05"), std::string::npos);
}

TEST_F(HostileSnapshot, JailedCodeLiesInTheHeapInOrder) {
  const auto jail = [](std::uint64_t address, std::uint64_t size) {
    return Region{address, size, 0, kRead | kExecute, RegionSource::kJailed};
  };
  const std::uint64_t page = kPageSize;
  const std::vector<std::vector<Region>> lies = {
      {jail(ZVM_IMAGE_ADDRESS, page)},
      {jail(ZVM_STACK_ADDRESS, page)},
      {jail(heap_ + 1, page)},
      {jail(heap_, 0)},
      {jail(heap_, page - 1)},
      {jail(heap_, ~std::uint64_t{0} - page + 1)},
      {jail(heap_, kMemory)},
      {jail(heap_ + page, page), jail(heap_, page)},
      {jail(heap_, 2 * page), jail(heap_ + page, page)},
      std::vector<Region>(kMaxJailedRegions + 1, jail(heap_, page)),
  };
  for (const auto& lie : lies) {
    file_ = std::move(*Snapshot::NewFile());
    state_.jailed = lie;
    EXPECT_NE(Refusal().find("jailed"), std::string::npos);
  }
}

TEST_F(HostileSnapshot, FileOfAnotherSizeIsRefused) {
  file_.Reset(memfd_create("snapshot_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_NE(Refusal().find("0 bytes instead of"), std::string::npos);
}

TEST_F(HostileSnapshot, FileThatSomebodyStillWritesIsRefused) {
  void* const mapped = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_NE(Refusal().find("cannot seal"), std::string::npos);
  munmap(mapped, kPageSize);
}

TEST_F(HostileSnapshot, ManyRunsAreJoinedOverSmallGaps) {
  for (std::uint64_t i = 0; i < 3000; ++i) Put(heap_ + 2 * i * kPageSize, "x");
  Put(kGuestEnd - 1, "x");
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->runs().size(), 2U) << "heap and stack are never joined";
  EXPECT_EQ((*made)->runs()[0].size, 5999 * kPageSize);
}

}  // namespace
}  // namespace zerocloud::runtime
