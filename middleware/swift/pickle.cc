#include "middleware/swift/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace zerocloud::swift {
namespace {

// Opcodes of pickle protocol 2 that occur; the names are those of Python's pickletools.
enum Opcode : std::uint8_t {
  kMark = '(',
  kEmptyTuple = ')',
  kStop = '.',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kGlobal = 'c',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kSetItems = 'u',
  kEmptyDict = '}',
  kProto = 0x80,
  kTuple2 = 0x86,
};

constexpr std::size_t kLongestGlobal = 64;

enum class Kind : std::uint8_t {
  kMark,
  kDict,         // the one dictionary
  kText,         // unicode; the value holds its UTF-8
  kBytes,        //
  kEncode,       // the function _codecs.encode
  kMakeBytes,    // the class bytes
  kNothing,      // ()
  kToBeEncoded,  // (text, 'latin1'); the value holds the text's bytes in that encoding
};

struct Value {
  Kind kind = Kind::kMark;
  std::string bytes = {};
};

// The bytes that UTF-8 text is in latin-1, or none.
std::optional<std::string> ToLatin1(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      bytes.push_back(text[i]);
      continue;
    }
    if ((lead != 0xc2 && lead != 0xc3) || i + 1 == text.size()) return std::nullopt;
    const auto next = static_cast<unsigned char>(text[++i]);
    if ((next & 0xc0U) != 0x80) return std::nullopt;
    bytes.push_back(static_cast<char>((lead & 0x03U) << 6U | (next & 0x3fU)));
  }
  return bytes;
}

// The pickle's machine: a stack and a memo of values. Both hold indices, so that a value that is
// fetched from the memo again and again takes no memory again.
class Machine {
 public:
  explicit Machine(std::span<const std::byte> pickle) : rest_(pickle), size_(pickle.size()) {}

  Result<Metadata> Run() {
    while (!has_stopped_) {
      at_ = size_ - rest_.size();
      const std::optional<std::uint64_t> opcode = Number(1);
      if (!opcode) return Refuse("it ends too early");
      opcode_ = static_cast<std::uint8_t>(*opcode);
      if (!Step()) return Refuse(why_);
    }
    if (!rest_.empty()) return Refuse("bytes follow its end");
    return std::move(metadata_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> Refuse(std::string_view why) const {
    return Fail(ErrorCode::kInvalid, fmt::format("metadata is no pickle that Swift writes: {} "
                                                 "(offset {}, opcode 0x{:02x})",
                                                 why, at_, opcode_));
  }
  bool Wrong(std::string_view why) {
    why_ = why;
    return false;
  }

  // A little-endian number.
  std::optional<std::uint64_t> Number(std::size_t bytes) {
    if (rest_.size() < bytes) return std::nullopt;
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      number |= std::to_integer<std::uint64_t>(rest_[i]) << (8 * i);
    }
    rest_ = rest_.subspan(bytes);
    return number;
  }
  std::optional<std::string> Text(std::optional<std::uint64_t> size) {
    if (!size || rest_.size() < *size) return std::nullopt;
    std::string text;
    for (const std::byte byte : rest_.first(*size)) text.push_back(static_cast<char>(byte));
    rest_ = rest_.subspan(*size);
    return text;
  }
  std::optional<std::string> Line() {
    std::string line;
    while (line.size() <= kLongestGlobal) {
      const std::optional<std::uint64_t> byte = Number(1);
      if (!byte) return std::nullopt;
      if (*byte == '\n') return line;
      line.push_back(static_cast<char>(*byte));
    }
    return std::nullopt;
  }

  bool Push(Kind kind, std::string bytes = {}) {
    stack_.push_back(values_.size());
    values_.push_back({kind, std::move(bytes)});
    return true;
  }
  bool PushText(Kind kind, std::optional<std::string> text) {
    if (!text) return Wrong("a string is longer than the rest");
    return Push(kind, std::move(*text));
  }
  [[nodiscard]] const Value& Top(std::size_t below = 0) const {
    return values_[stack_[stack_.size() - 1 - below]];
  }
  [[nodiscard]] bool IsTop(std::size_t below, Kind kind) const {
    return stack_.size() > below && Top(below).kind == kind;
  }
  [[nodiscard]] static bool IsString(const Value& value) {
    return value.kind == Kind::kText || value.kind == Kind::kBytes;
  }

  bool Step() {
    switch (opcode_) {
      case kProto:
        if (at_ != 0 || Number(1) != 2) return Wrong("it is not of protocol 2");
        return true;
      case kEmptyDict:
        if (has_dict_) return Wrong("there is a second dictionary");
        has_dict_ = true;
        return Push(Kind::kDict);
      case kMark:
        return Push(Kind::kMark);
      case kBinUnicode:
        return PushText(Kind::kText, Text(Number(4)));
      case kBinString:
        return PushText(Kind::kBytes, Text(Number(4)));
      case kShortBinString:
        return PushText(Kind::kBytes, Text(Number(1)));
      case kEmptyTuple:
        return Push(Kind::kNothing);
      case kGlobal:
        return Global();
      case kTuple2:
        return Tuple();
      case kReduce:
        return Reduce();
      case kBinPut:
        return Put(Number(1));
      case kLongBinPut:
        return Put(Number(4));
      case kBinGet:
        return Get(Number(1));
      case kLongBinGet:
        return Get(Number(4));
      case kSetItem:
        return SetItem();
      case kSetItems:
        return SetItems();
      case kStop:
        if (stack_.size() != 1 || !IsTop(0, Kind::kDict)) return Wrong("it is no dictionary");
        has_stopped_ = true;
        return true;
      default:
        return Wrong("an opcode that it has no use for");
    }
  }

  // The two names that bytes are made with; what they name is never looked up.
  bool Global() {
    const std::optional<std::string> module = Line();
    const std::optional<std::string> name = Line();
    if (module == "_codecs" && name == "encode") return Push(Kind::kEncode);
    if (module == "__builtin__" && name == "bytes") return Push(Kind::kMakeBytes);
    return Wrong("it refers to something else than the making of bytes");
  }

  bool Tuple() {
    if (!IsTop(0, Kind::kText) || Top().bytes != "latin1" || !IsTop(1, Kind::kText)) {
      return Wrong("a pair that is not (text, 'latin1')");
    }
    std::optional<std::string> bytes = ToLatin1(Top(1).bytes);
    if (!bytes) return Wrong("text that is not latin-1");
    stack_.resize(stack_.size() - 2);
    return Push(Kind::kToBeEncoded, std::move(*bytes));
  }

  bool Reduce() {
    const bool is_bytes = IsTop(0, Kind::kToBeEncoded) && IsTop(1, Kind::kEncode);
    const bool is_empty = IsTop(0, Kind::kNothing) && IsTop(1, Kind::kMakeBytes);
    if (!is_bytes && !is_empty) return Wrong("a call that does not make bytes");
    std::string bytes = Top().bytes;
    stack_.resize(stack_.size() - 2);
    return Push(Kind::kBytes, std::move(bytes));
  }

  bool Put(std::optional<std::uint64_t> slot) {
    if (!slot || stack_.empty() || Top().kind == Kind::kMark) return Wrong("nothing to remember");
    memo_[*slot] = stack_.back();
    return true;
  }
  bool Get(std::optional<std::uint64_t> slot) {
    const auto found = slot ? memo_.find(*slot) : memo_.end();
    if (found == memo_.end()) return Wrong("a slot of the memo that was never filled");
    // Else the dictionary could hold itself.
    if (values_[found->second].kind == Kind::kDict) return Wrong("the dictionary within itself");
    stack_.push_back(found->second);
    return true;
  }

  bool Store(const Value& key, const Value& value) {
    if (!IsString(key) || !IsString(value)) return Wrong("a key or value that is no string");
    bytes_ += key.bytes.size() + value.bytes.size();
    if (bytes_ > kMaxPickleBytes) return Wrong("it unfolds to more than the limit of 256 KiB");
    metadata_.insert_or_assign(key.bytes, value.bytes);
    return true;
  }
  bool SetItem() {
    if (!IsTop(2, Kind::kDict)) return Wrong("an item without dictionary");
    if (!Store(Top(1), Top())) return false;
    stack_.resize(stack_.size() - 2);
    return true;
  }
  bool SetItems() {
    std::size_t first = stack_.size();  // position of the last mark
    while (first > 0 && values_[stack_[first - 1]].kind != Kind::kMark) --first;
    if (first < 2 || values_[stack_[first - 2]].kind != Kind::kDict ||
        (stack_.size() - first) % 2 != 0) {
      return Wrong("items without dictionary");
    }
    for (std::size_t i = first; i < stack_.size(); i += 2) {
      if (!Store(values_[stack_[i]], values_[stack_[i + 1]])) return false;
    }
    stack_.resize(first - 1);
    return true;
  }

  std::span<const std::byte> rest_;
  const std::size_t size_;
  std::size_t at_ = 0;  // of the opcode
  std::uint8_t opcode_ = 0;
  std::string_view why_;
  std::vector<Value> values_;
  std::vector<std::size_t> stack_;
  std::map<std::uint64_t, std::size_t> memo_;
  Metadata metadata_;
  std::size_t bytes_ = 0;
  bool has_dict_ = false;
  bool has_stopped_ = false;
};

}  // namespace

Result<Metadata> ParsePickle(std::span<const std::byte> pickle) {
  if (pickle.size() > kMaxPickleBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("metadata of {} bytes is longer than the limit of {}", pickle.size(),
                            kMaxPickleBytes));
  }
  return Machine(pickle).Run();
}

}  // namespace zerocloud::swift
