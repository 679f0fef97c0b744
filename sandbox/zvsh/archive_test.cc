#include "sandbox/zvsh/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

namespace zerocloud::zvsh {
namespace {

using testing::HasSubstr;

void Put(std::string& block, std::size_t offset, std::string_view text) {
  std::ranges::copy(text, block.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::string Header(std::string_view name, char type, std::size_t size,
                   std::string_view prefix = "") {
  std::string block(512, '\0');
  Put(block, 0, name.substr(0, 100));
  char digits[16];
  std::snprintf(digits, sizeof digits, "%011zo", size);
  Put(block, 124, digits);
  block[156] = type;
  Put(block, 257, std::string_view("ustar\00000", 8));
  Put(block, 345, prefix);
  Put(block, 148, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(digits, sizeof digits, "%06o", sum);
  Put(block, 148, std::string_view(digits, 7));
  return block;
}

std::string Entry(std::string_view name, std::string_view bytes, char type = '0',
                  std::string_view prefix = "") {
  std::string entry = Header(name, type, bytes.size(), prefix) + std::string(bytes);
  entry.resize((entry.size() + 511) / 512 * 512);
  return entry;
}

Result<std::optional<Member>> Find(const std::string& archive, std::string_view name) {
  return FindMember(
      [&archive](std::uint64_t offset, std::span<char> bytes) -> Result<std::size_t> {
        if (offset >= archive.size()) return 0;
        const std::size_t n = std::min<std::size_t>(bytes.size(), archive.size() - offset);
        std::copy_n(archive.begin() + static_cast<std::ptrdiff_t>(offset), n, bytes.begin());
        return n;
      },
      name);
}

std::string Content(const std::string& archive, std::string_view name) {
  const auto member = Find(archive, name);
  if (!member) return member.error().message;
  const std::optional<Member>& found = *member;
  return found ? archive.substr(found->offset, found->size) : "none";
}

const std::string kEnd(1024, '\0');

TEST(Archive, FindsAFileUnderAnySpelling) {
  const std::string archive = Entry("./bin/", "", '5') + Entry("./bin/python", "one") + kEnd;
  EXPECT_EQ(Content(archive, "bin/python"), "one");
  EXPECT_EQ(Content(archive, "/bin/python"), "one");
  EXPECT_EQ(Content(archive, "./bin/python"), "one");
  EXPECT_EQ(Content(archive, "python"), "none");
  EXPECT_EQ(Content(archive, "bin/"), "none") << "a directory is no command";
}

TEST(Archive, TakesTheLastOfAName) {
  EXPECT_EQ(Content(Entry("a", "old") + Entry("a", "new") + kEnd, "a"), "new");
}

TEST(Archive, KnowsLongNames) {
  const std::string name = std::string(150, 'n') + "/x";
  EXPECT_EQ(Content(Entry("././@LongLink", name + '\0', 'L') + Entry("nnn", "gnu") + kEnd, name),
            "gnu");
  EXPECT_EQ(Content(Entry("x", "prefix", '0', std::string(150, 'n')) + kEnd, name), "prefix");
  const std::string pax = "162 path=" + name + "\n";
  ASSERT_EQ(pax.size(), 162U);
  EXPECT_EQ(Content(Entry("p", pax, 'x') + Entry("nnn", "pax") + kEnd, name), "pax");
}

TEST(Archive, KnowsPaxRecords) {
  EXPECT_EQ(
      Content(Entry("p", "10 path=q\n", 'x') + Entry("wrong", "pax") + Entry("r", "s") + kEnd, "q"),
      "pax");
  EXPECT_THAT(Content(Entry("p", "99 path=q\n", 'x') + kEnd, "q"),
              HasSubstr("pax header is malformed"));
}

TEST(Archive, NeedsNoEnd) {
  EXPECT_EQ(Content(Entry("a", "bytes"), "a"), "bytes");
  EXPECT_EQ(Content("", "a"), "none");
}

TEST(Archive, SaysWhereItIsDamaged) {
  EXPECT_THAT(Content("no archive", "a"), HasSubstr("byte 0: it ends in the middle"));
  EXPECT_THAT(Content(std::string(512, 'x'), "a"), HasSubstr("byte 0: the header's checksum"));
  EXPECT_THAT(Content(Entry("a", "b") + std::string(512, 'x'), "a"), HasSubstr("byte 1024"));
}

}  // namespace
}  // namespace zerocloud::zvsh
