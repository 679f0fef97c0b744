#include "middleware/http/target.h"

#include "middleware/digest/hex.h"
#include "middleware/http/text.h"

namespace zerocloud::http {
namespace {

bool IsUnreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

Result<void> CheckName(std::string_view name) {
  if (name.find('\0') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "the path contains NUL (%00), which no name may hold");
  }
  if (!IsUtf8(name)) {
    return Fail(ErrorCode::kInvalid, "the path is not valid UTF-8; percent-encode names as UTF-8");
  }
  return {};
}

}  // namespace

std::string PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digest::HexDigit(text[i + 1]) >= 0 &&
        digest::HexDigit(text[i + 2]) >= 0) {
      out.push_back(
          static_cast<char>(digest::HexDigit(text[i + 1]) * 16 + digest::HexDigit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  return PercentEncodeBut(text, keep_slash ? "/" : "");
}

std::string PercentEncodeBut(std::string_view text, std::string_view kept) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (IsUnreserved(c) || kept.contains(c)) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 15U]);
    }
  }
  return out;
}

Query Query::Parse(std::string_view text) {
  Query query;
  while (!text.empty() && query.all_.size() < kMaxParameters) {
    const auto end = text.find('&');
    const std::string_view part = text.substr(0, end);
    if (!part.empty()) {
      const auto equals = part.find('=');
      query.all_.emplace_back(PercentDecode(part.substr(0, equals), true),
                              equals == std::string_view::npos
                                  ? std::string()
                                  : PercentDecode(part.substr(equals + 1), true));
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return query;
}

std::optional<std::string_view> Query::Get(std::string_view name) const {
  for (const auto& [key, value] : all_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Target ParseTarget(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (StartsWithIgnoringCase(target, scheme)) {
      const auto slash = target.find_first_of("/?", scheme.size());
      target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
      break;
    }
  }
  const auto question = target.find('?');
  Target result;
  result.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) result.query = Query::Parse(target.substr(question + 1));
  return result;
}

std::optional<Result<StoragePath>> ParseStoragePath(std::string_view path) {
  std::string_view rest;
  bool is_storage = false;
  for (const std::string_view version : {"/v1", "/v1.0"}) {
    if (path == version) is_storage = true;
    if (path.starts_with(version) && path.size() > version.size() && path[version.size()] == '/') {
      is_storage = true;
      rest = path.substr(version.size() + 1);
    }
  }
  if (!is_storage) return std::nullopt;

  // "%2F" is a slash like any other once decoded; Swift splits the decoded path.
  const std::string decoded = PercentDecode(rest);
  if (const auto checked = CheckName(decoded); !checked) return Result<StoragePath>(Fail(checked));
  const std::string_view names = decoded;
  StoragePath result;
  const auto first = names.find('/');
  result.account = std::string(names.substr(0, first));
  if (first != std::string_view::npos) {
    const std::string_view after_account = names.substr(first + 1);
    const auto second = after_account.find('/');
    result.container = std::string(after_account.substr(0, second));
    if (second != std::string_view::npos) {
      result.object = std::string(after_account.substr(second + 1));
    }
  }
  if (result.account.empty()) {
    return Result<StoragePath>(
        Fail(ErrorCode::kInvalid, "bad URL: it names no account; expected /v1/account"));
  }
  if (result.container.empty() && !result.object.empty()) {
    return Result<StoragePath>(
        Fail(ErrorCode::kInvalid, "bad URL: it names an object but no container"));
  }
  return Result<StoragePath>(std::move(result));
}

Result<ContainerAndObject> SplitContainerAndObject(std::string_view path,
                                                   std::string_view header_name) {
  if (const auto checked = CheckName(path); !checked) return Fail(checked);
  if (path.starts_with('/')) path.remove_prefix(1);
  const auto slash = path.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == path.size()) {
    return Fail(ErrorCode::kInvalid,
                std::string(header_name) + " must be of the form container/object");
  }
  return ContainerAndObject{std::string(path.substr(0, slash)),
                            std::string(path.substr(slash + 1))};
}

}  // namespace zerocloud::http
