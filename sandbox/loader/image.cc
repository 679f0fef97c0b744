#include "sandbox/loader/image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

namespace zerocloud::loader {
namespace {

constexpr std::byte kTrap{0xCC};  // int3

Result<bool> WriteAll(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return FailErrno("cannot write the memory file of a program");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

// The backed pages of all segments. Partial last pages: traps after text, zeros after data.
Result<UniqueFd> BuildMemoryFile(std::span<const std::byte> file, const ElfImage& elf) {
  UniqueFd memory_file(::memfd_create("zvm-image", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory_file.is_open()) return FailErrno("cannot create the memory file of a program");
  if (::ftruncate(memory_file.get(), static_cast<off_t>(elf.layout.memory_file_size)) != 0) {
    return FailErrno("cannot size the memory file of a program");
  }
  for (std::size_t k = 0; k < elf.sources.size(); ++k) {
    const Segment& segment = elf.layout.segments[k];
    const SegmentSource& source = elf.sources[k];
    const auto bytes = file.subspan(source.file_offset, source.file_size);
    auto written = WriteAll(memory_file.get(), bytes, segment.memory_offset);
    if (written && segment.protection == Protection::kReadExecute) {
      const std::vector<std::byte> traps(segment.backed_size - source.file_size, kTrap);
      written = WriteAll(memory_file.get(), traps, segment.memory_offset + source.file_size);
    }
    if (!written) return Fail(written);
  }
  if (::fcntl(memory_file.get(), F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return FailErrno("cannot seal the memory file of a program");
  }
  return memory_file;
}

// The text as it is in the sealed memory file, mapped read-only.
class TextView {
 public:
  static Result<TextView> Map(int memory_file, const ImageLayout& layout) {
    for (const Segment& segment : layout.segments) {
      if (segment.protection != Protection::kReadExecute) continue;
      void* const address = ::mmap(nullptr, segment.backed_size, PROT_READ, MAP_PRIVATE,
                                   memory_file, static_cast<off_t>(segment.memory_offset));
      if (address == MAP_FAILED) return FailErrno("cannot map the text of a program");
      return TextView({static_cast<const std::byte*>(address), segment.backed_size});
    }
    return Fail(ErrorCode::kInternal, "a parsed program has no text");
  }

  TextView(TextView&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  TextView& operator=(TextView&&) = delete;
  TextView(const TextView&) = delete;
  TextView& operator=(const TextView&) = delete;
  ~TextView() {
    // SAFETY: unmaps what Map() mapped; mmap gave it as a pointer to non-const.
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit TextView(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// "the code breaks rule V10 (memory) at main+0x12 (0x400123): ... "
std::string Describe(const Examination& examination, bool is_only_one) {
  const verifier::Violation& first = examination.verdict.violations.front();
  const verifier::Rule& rule = verifier::GetRule(first.rule);
  const std::uint64_t address = examination.layout.text_address + first.offset;
  const std::string symbol = Symbolize(examination.symbols, address);
  return fmt::format(
      "the verifier refuses the code: rule {} ({}) is broken at {}{}{:#x}{}{}. {} "
      "Build the program with zvm-cc; zvm-verify lists what is wrong with it",
      rule.id, rule.name, symbol, symbol.empty() ? "" : " (", address, symbol.empty() ? "" : ")",
      is_only_one ? "" : " first", rule.statement);
}

// An examination of which only the verdict is missing.
Result<Examination> Prepare(std::span<const std::byte> file) {
  auto elf = ParseElf(file);
  if (!elf) return Fail(elf);
  auto memory_file = BuildMemoryFile(file, *elf);
  if (!memory_file) return Fail(memory_file);
  auto digest = DigestOf(file);
  if (!digest) return Fail(digest);
  Examination examination;
  examination.symbols = ReadSymbols(file, elf->layout);
  examination.layout = std::move(elf->layout);
  examination.memory_file = std::move(*memory_file);
  examination.digest = std::move(*digest);
  return examination;
}

}  // namespace

Result<std::string> DigestOf(std::span<const std::byte> file) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(file.data(), file.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    return Fail(ErrorCode::kInternal, "OpenSSL cannot compute SHA-256");
  }
  std::string hex;
  for (unsigned k = 0; k < size; ++k) hex += fmt::format("{:02x}", digest[k]);
  return hex;
}

Result<std::vector<std::byte>> ReadImageFile(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return FailErrno("cannot read the program");
  if (!S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kInvalid, "the program is not a regular file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kMaxImageFileSize) {
    return Fail(ErrorCode::kRejectedCode,
                fmt::format("the file has {} bytes; the limit is {}", size, kMaxImageFileSize));
  }
  std::vector<std::byte> file(size);
  for (std::size_t at = 0; at < file.size();) {
    const ssize_t got = ::pread(fd, file.data() + at, file.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the program");
    if (got == 0) file.resize(at);  // it shrank meanwhile
    at += static_cast<std::size_t>(got);
  }
  return file;
}

Result<Examination> Examine(std::span<const std::byte> file, std::size_t max_violations) {
  auto examination = Prepare(file);
  if (!examination) return examination;
  const ImageLayout& layout = examination->layout;
  const auto text = TextView::Map(examination->memory_file.get(), layout);
  if (!text) return Fail(text);
  examination->verdict = verifier::Verify(text->bytes(), layout.text_address,
                                          {.isa_level = layout.isa_level,
                                           .max_violations = max_violations,
                                           .threads = std::thread::hardware_concurrency()});
  if (!examination->verdict.is_accepted()) {
    examination->text.assign(text->bytes().begin(), text->bytes().end());
  }
  return examination;
}

Image::Image(Examination examination)
    : memory_file_(std::move(examination.memory_file)),
      layout_(std::move(examination.layout)),
      symbols_(std::move(examination.symbols)),
      digest_(std::move(examination.digest)) {}

Result<std::shared_ptr<const Image>> Image::Load(std::span<const std::byte> file) {
  auto examination = Examine(file, 2);
  if (!examination) return Fail(examination);
  const verifier::Verdict& verdict = examination->verdict;
  if (!verdict.is_accepted()) {
    return Fail(ErrorCode::kRejectedCode, Describe(*examination, verdict.violations.size() == 1));
  }
  return std::shared_ptr<const Image>(new Image(std::move(*examination)));
}

Result<std::shared_ptr<const Image>> Image::LoadAccepted(std::span<const std::byte> file) {
  auto examination = Prepare(file);
  if (!examination) return Fail(examination);
  return std::shared_ptr<const Image>(new Image(std::move(*examination)));
}

Result<std::shared_ptr<const Image>> Image::LoadFile(int fd) {
  const auto file = ReadImageFile(fd);
  if (!file) return Fail(file);
  return Load(*file);
}

std::string Image::Symbolize(std::uint64_t address) const {
  return loader::Symbolize(symbols_, address);
}

}  // namespace zerocloud::loader
