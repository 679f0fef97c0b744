#include "middleware/store/naming.h"

#include "middleware/http/text.h"

namespace zerocloud::store {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::string_view kEmptyPart = "%-";
constexpr std::string_view kContinued = "%+";

void AppendEscape(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out.push_back('%');
  out.push_back(kHexDigits[byte >> 4U]);
  out.push_back(kHexDigits[byte & 15U]);
}

// One part of a name (between slashes), escaped but not yet cut.
std::string EscapePart(std::string_view part, bool hide_leading_dot) {
  std::string out;
  out.reserve(part.size());
  for (std::size_t i = 0; i < part.size(); ++i) {
    const auto byte = static_cast<unsigned char>(part[i]);
    const bool is_special_dot =
        i == 0 && byte == '.' && (hide_leading_dot || part == "." || part == "..");
    // A slash is in a part only below the deepest folder.
    if (byte < 0x20 || byte == 0x7f || byte == '%' || byte == '/' || is_special_dot) {
      AppendEscape(out, part[i]);
    } else {
      out.push_back(part[i]);
    }
  }
  return out;
}

// Where to cut `text` at the latest: within kMaxPiece, not inside "%XX" or a UTF-8 sequence.
std::size_t CutAt(std::string_view text) {
  std::size_t at = kMaxPiece;
  while ((static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U || text[at - 1] == '%' ||
         text[at - 2] == '%') {
    --at;
  }
  return at;
}

// Adds the folders of a long part to `path`; returns the rest, which fits one file name.
std::string AppendContinuations(std::string& path, std::string_view escaped) {
  while (escaped.size() > kMaxPiece) {
    const std::size_t at = CutAt(escaped);
    path.append(escaped.substr(0, at));
    path.append(kContinued);
    path.push_back('/');
    escaped.remove_prefix(at);
  }
  // What is left of a long row of dots must not be a "." or ".." of its own.
  if (escaped == "." || escaped == "..") return EscapePart(escaped, false);
  return std::string(escaped);
}

int HexValue(char c) {
  const auto at = kHexDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// Undoes EscapePart on a piece of it. False: not an escaped text.
bool AppendUnescaped(std::string& out, std::string_view piece) {
  for (std::size_t i = 0; i < piece.size(); ++i) {
    if (piece[i] != '%') {
      out.push_back(piece[i]);
      continue;
    }
    if (i + 2 >= piece.size() || HexValue(piece[i + 1]) < 0 || HexValue(piece[i + 2]) < 0) {
      return false;
    }
    out.push_back(static_cast<char>(HexValue(piece[i + 1]) * 16 + HexValue(piece[i + 2])));
    i += 2;
  }
  return true;
}

Result<void> CheckName(std::string_view kind, std::string_view name, std::size_t limit) {
  if (name.empty()) return Fail(ErrorCode::kInvalid, std::string(kind) + " name is empty");
  if (name.size() > limit) {
    return Fail(ErrorCode::kInvalid, std::string(kind) + " name has " +
                                         std::to_string(name.size()) + " bytes; at most " +
                                         std::to_string(limit) + " are allowed");
  }
  if (name.find('\0') != std::string_view::npos || !http::IsUtf8(name)) {
    return Fail(ErrorCode::kInvalid, std::string(kind) + " name contains NUL or is not UTF-8");
  }
  return {};
}

}  // namespace

Result<void> CheckAccountName(std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "account name contains '/'");
  }
  return CheckName("account", name, kMaxAccountName);
}

Result<void> CheckContainerName(std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "container name contains '/'");
  }
  return CheckName("container", name, kMaxContainerName);
}

Result<void> CheckObjectName(std::string_view name) {
  return CheckName("object", name, kMaxObjectName);
}

std::string EncodeFolder(std::string_view name) {
  std::string path;
  path.append(AppendContinuations(path, EscapePart(name, true)));
  return path;
}

std::string EncodeObject(std::string_view name) {
  std::string path;
  for (std::size_t folders = 0;; ++folders) {
    const auto slash = folders < kMaxFolders ? name.find('/') : std::string_view::npos;
    const std::string last = AppendContinuations(path, EscapePart(name.substr(0, slash), false));
    if (slash == std::string_view::npos) {
      path.append(last.empty() ? kEmptyPart : last);
      return path;
    }
    path.append(last);
    path.append("%/");
    name.remove_prefix(slash + 1);
  }
}

std::optional<std::string> DecodeFolder(std::string_view path) {
  const std::string_view whole = path;
  std::string name;
  while (true) {
    const auto slash = path.find('/');
    std::string_view piece = path.substr(0, slash);
    if (slash != std::string_view::npos) {
      if (!IsContinuation(piece)) return std::nullopt;
      piece.remove_suffix(kContinued.size());
    }
    if (!AppendUnescaped(name, piece)) return std::nullopt;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  // One name, one path: whatever else decodes to this name is somebody else's file.
  if (!CheckContainerName(name) || EncodeFolder(name) != whole) return std::nullopt;
  return name;
}

std::optional<std::string> DecodeObject(std::string_view path) {
  const std::string_view whole = path;
  std::string name;
  while (true) {
    const auto slash = path.find('/');
    std::string_view piece = path.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    bool ends_part = false;
    if (is_last) {
      if (piece == kEmptyPart) piece = {};
    } else if (IsContinuation(piece)) {
      piece.remove_suffix(kContinued.size());
    } else if (IsSlashFolder(piece)) {
      piece.remove_suffix(1);
      ends_part = true;
    } else {
      return std::nullopt;
    }
    if (!AppendUnescaped(name, piece)) return std::nullopt;
    if (ends_part) name.push_back('/');
    if (is_last) break;
    path.remove_prefix(slash + 1);
  }
  if (!CheckObjectName(name) || EncodeObject(name) != whole) return std::nullopt;
  return name;
}

}  // namespace zerocloud::store
