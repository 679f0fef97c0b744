#include "sandbox/loader/image.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "sandbox/loader/elf_builder.h"

namespace zerocloud::loader {
namespace {

using testing::HasSubstr;

std::string ReadMemoryFile(const Image& image, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '?');
  EXPECT_EQ(::pread(image.memory_file(), bytes.data(), size, static_cast<off_t>(offset)),
            static_cast<ssize_t>(size));
  return bytes;
}

TEST(Image, PadsTextWithTrapsAndDataWithZeros) {
  const auto image = Image::Load(ElfBuilder().Build());
  ASSERT_TRUE(image) << image.error().message;
  const std::string text = ReadMemoryFile(**image, 0, 0x1000);
  EXPECT_EQ(text, "\xf4" + std::string(0xfff, '\xcc'));
  EXPECT_EQ(ReadMemoryFile(**image, 0x1000, 0x1000), "constant" + std::string(0xff8, '\0'));
  EXPECT_EQ(ReadMemoryFile(**image, 0x2000, 0x1000), "variable" + std::string(0xff8, '\0'));
}

TEST(Image, IsSealedForGood) {
  const auto image = Image::Load(ElfBuilder().Build());
  ASSERT_TRUE(image);
  const int fd = (*image)->memory_file();
  EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 1 << 20), -1);
  EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
  EXPECT_EQ(::mmap(nullptr, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

TEST(Image, VerifiesThePagesThatAreMapped) {
  // The last byte of the file's text begins an instruction that the padding would end.
  ElfBuilder builder;
  builder.SetText(std::vector<std::byte>(32, std::byte{0x90}));
  builder.text.back() = std::byte{0xB8};
  const auto image = Image::Load(builder.Build());
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kRejectedCode);
  EXPECT_EQ(
      image.error().message,
      "the verifier refuses the code: rule V03 (straddle) is broken at 0x40001f. No instruction "
      "crosses a 32-byte bundle boundary. Build the program with zvm-cc; zvm-verify lists what is "
      "wrong with it");
}

TEST(Image, NamesTheSymbolOfTheFirstViolation) {
  ElfBuilder builder;
  builder.SetText(ElfBuilder::Bytes("\x90\x0f\x05\x0f\x05"));
  const auto image = Image::Load(builder.Build());
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message,
              HasSubstr("rule V05 (opcode) is broken at main+0x1 (0x400001) first."));
}

TEST(Image, ObeysTheLevelOfTheNote) {
  ElfBuilder builder;
  builder.SetText(ElfBuilder::Bytes("\xc5\xf8\x77"));  // vzeroupper
  EXPECT_FALSE(Image::Load(builder.Build()));
  builder.note.isa_level = 3;
  EXPECT_TRUE(Image::Load(builder.Build()));
}

TEST(Image, IsNamedByTheDigestOfItsFile) {
  const std::vector<std::byte> file = ElfBuilder().Build();
  const auto image = Image::Load(file);
  ASSERT_TRUE(image);
  EXPECT_THAT((*image)->digest(), testing::MatchesRegex("[0-9a-f]{64}"));
  EXPECT_EQ((*Image::Load(file))->digest(), (*image)->digest());
  ElfBuilder other;
  other.data[0] = std::byte{'V'};
  EXPECT_NE((*Image::Load(other.Build()))->digest(), (*image)->digest());
}

TEST(Image, ExaminationKeepsRefusedTextForPeople) {
  ElfBuilder builder;
  builder.SetText(ElfBuilder::Bytes("\x0f\x05"));
  const auto examination = Examine(builder.Build());
  ASSERT_TRUE(examination);
  EXPECT_THAT(examination->verdict.violations,
              testing::ElementsAre(verifier::Violation{verifier::RuleId::kOpcode, 0}));
  EXPECT_EQ(examination->text.size(), 0x1000u);
  EXPECT_TRUE(Examine(ElfBuilder().Build())->text.empty());
}

TEST(Image, LoadsAnOpenFileWhereverItsOffsetIs) {
  const std::vector<std::byte> bytes = ElfBuilder().Build();
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  const auto image = Image::LoadFile(file.get());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ((*image)->Symbolize(0x400001), "main+0x1");
}

TEST(Image, OfBytesThatWereAcceptedBeforeIsTheSame) {
  const std::vector<std::byte> file = ElfBuilder().Build();
  const auto verified = Image::Load(file);
  const auto believed = Image::LoadAccepted(file);
  ASSERT_TRUE(verified && believed);
  EXPECT_EQ((*believed)->digest(), (*verified)->digest());
  EXPECT_EQ((*believed)->layout().entry, (*verified)->layout().entry);
  const auto size = static_cast<std::size_t>((*verified)->layout().memory_file_size);
  EXPECT_EQ(ReadMemoryFile(**believed, 0, size), ReadMemoryFile(**verified, 0, size));
  EXPECT_FALSE(Image::LoadAccepted(std::vector<std::byte>(64))) << "no program at all";
}

TEST(Image, TellsWhatTheHostDidNotGive) {
  const std::vector<std::byte> file = ElfBuilder().Build();
  const auto message_under = [&file](__rlimit_resource resource, rlim_t limit) {
    rlimit before{};
    EXPECT_EQ(::getrlimit(resource, &before), 0);
    const rlimit lower = {limit, before.rlim_max};
    EXPECT_EQ(::setrlimit(resource, &lower), 0);
    const auto image = Image::Load(file);
    EXPECT_EQ(::setrlimit(resource, &before), 0);
    return image ? std::string() : image.error().message;
  };
  EXPECT_THAT(message_under(RLIMIT_NOFILE, 0), HasSubstr("cannot create the memory file"));
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  EXPECT_THAT(message_under(RLIMIT_FSIZE, 0x1000), HasSubstr("cannot size the memory file"));
  std::signal(SIGXFSZ, before);
}

TEST(Image, RefusesToLoadWhatIsNoRegularFile) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  const auto image = Image::LoadFile(read_end.get());
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().message, "the program is not a regular file");
}

TEST(Image, RefusesAFileThatIsTooLargeWithoutReadingIt) {
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(kMaxImageFileSize + 1)), 0);
  EXPECT_THAT(Image::LoadFile(file.get()).error().message, HasSubstr("the limit is 268435456"));
}

}  // namespace
}  // namespace zerocloud::loader
