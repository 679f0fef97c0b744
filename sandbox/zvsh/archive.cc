#include "sandbox/zvsh/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace zerocloud::zvsh {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::uint64_t kMaxExtension = 64 << 10;

using Block = std::array<char, kBlock>;

struct Field {
  std::size_t offset, size;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kMagic{257, 6}, kPrefix{345, 155};
constexpr std::size_t kType = 156;

std::string_view Text(const Block& block, Field field) {
  const std::string_view text(block.data() + field.offset, field.size);
  return text.substr(0, text.find('\0'));
}

// Octal digits, or base 256 when the first bit is set.
std::optional<std::uint64_t> Number(const Block& block, Field field) {
  const std::string_view bytes(block.data() + field.offset, field.size);
  std::uint64_t value = 0;
  if (bytes.front() == '\x80') {
    for (const char byte : bytes.substr(1)) {
      if ((value >> 54U) != 0) return std::nullopt;
      value = (value << 8U) | static_cast<unsigned char>(byte);
    }
    return value;
  }
  const std::size_t first = std::min(bytes.find_first_not_of(' '), bytes.size());
  const std::string_view digits =
      bytes.substr(first, bytes.find_first_of(std::string_view("\0 ", 2), first) - first);
  if (digits.empty()) return 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool HasRightChecksum(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool is_sum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += is_sum ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return Number(block, kChecksum) == sum;
}

std::string_view Normal(std::string_view name) {
  for (;;) {
    if (name.starts_with("./")) {
      name.remove_prefix(2);
    } else if (name.starts_with('/')) {
      name.remove_prefix(1);
    } else {
      return name;
    }
  }
}

// What entries of type L and x say about the next one.
struct Extension {
  std::optional<std::string> name;
  std::optional<std::uint64_t> size;
};

// "LENGTH KEY=VALUE\n" again and again; false: malformed.
bool ReadPax(std::string_view text, Extension& extension) {
  while (!text.empty() && text.front() != '\0') {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<std::size_t>(end - text.data());
    if (error != std::errc() || length <= digits + 1 || length > text.size()) return false;
    const std::string_view record = text.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") extension.name = value;
    if (key == "size") {
      std::uint64_t size = 0;
      std::from_chars(value.data(), value.data() + value.size(), size);
      extension.size = size;
    }
    text.remove_prefix(length);
  }
  return true;
}

class Finder {
 public:
  Finder(const ReadAt& read, std::string_view name) : read_(read), name_(Normal(name)) {}

  Result<std::optional<Member>> Run() {
    for (std::size_t i = 0; i < kMaxMembers; ++i) {
      const auto more = Next();
      if (!more) return Fail(more);
      if (!*more) return found_;
    }
    return Fail(ErrorCode::kLimitExceeded, fmt::format("it has more than {} entries", kMaxMembers));
  }

 private:
  [[nodiscard]] std::unexpected<Error> Damaged(std::string_view what) const {
    return Fail(ErrorCode::kInvalid,
                fmt::format("it is not a tar archive: byte {}: {}", offset_, what));
  }

  // false: the end.
  Result<bool> Next() {
    Block block{};
    const auto there = read_(offset_, block);
    if (!there) return Fail(there);
    if (*there == 0 || std::ranges::all_of(block, [](char c) { return c == '\0'; })) return false;
    if (*there < kBlock) return Damaged("it ends in the middle of a header");
    auto size = Number(block, kSize);
    if (!HasRightChecksum(block) || !size) return Damaged("the header's checksum is wrong");
    const char type = block[kType];
    if (type == 'L' || type == 'x') return ReadExtension(type, *size);
    if (type != 'K' && type != 'g') {
      if (extension_.size) size = extension_.size;
      Compare(block, type, *size);
      extension_ = {};
    }
    return Skip(*size);
  }

  Result<bool> ReadExtension(char type, std::uint64_t size) {
    if (size > kMaxExtension) return Damaged("a long name has more than 64 KiB");
    std::string text(size, '\0');
    const auto there = read_(offset_ + kBlock, text);
    if (!there) return Fail(there);
    if (*there < size) return Damaged("it ends in the middle of a long name");
    if (type == 'L') {
      extension_.name = text.substr(0, text.find('\0'));
    } else if (!ReadPax(text, extension_)) {
      return Damaged("a pax header is malformed");
    }
    return Skip(size);
  }

  Result<bool> Skip(std::uint64_t size) {
    constexpr std::uint64_t kMaxOffset = std::uint64_t{1} << 62U;
    if (size > kMaxOffset - offset_) return Damaged("an entry is larger than any file");
    offset_ += kBlock + (size + kBlock - 1) / kBlock * kBlock;
    return true;
  }

  void Compare(const Block& block, char type, std::uint64_t size) {
    if (type != '0' && type != '\0' && type != '7') return;
    std::string name(Text(block, kName));
    const bool is_ustar = std::string_view(block.data() + kMagic.offset, 5) == "ustar" &&
                          block[kMagic.offset + 5] == '\0';
    if (is_ustar && !Text(block, kPrefix).empty()) {
      name = fmt::format("{}/{}", Text(block, kPrefix), name);
    }
    if (extension_.name) name = *extension_.name;
    if (Normal(name) == name_) found_ = Member{offset_ + kBlock, size};
  }

  const ReadAt& read_;
  std::string_view name_;
  std::uint64_t offset_ = 0;
  Extension extension_;
  std::optional<Member> found_;
};

}  // namespace

Result<std::optional<Member>> FindMember(const ReadAt& read, std::string_view name) {
  return Finder(read, name).Run();
}

}  // namespace zerocloud::zvsh
