#include <fmt/format.h>

#include "middleware/digest/hex.h"
#include "middleware/job/job_spec.h"

namespace zerocloud::job {
namespace {

constexpr std::string_view kScheme = "swift://";

bool HasControlCharacter(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

std::string ObjectUrl::ToString() const {
  return fmt::format("{}{}/{}/{}", kScheme, account.empty() ? "~" : account, container, object);
}

std::string_view ToString(DeviceName name) {
  switch (name) {
    case DeviceName::kStdin:
      return "stdin";
    case DeviceName::kInput:
      return "input";
    case DeviceName::kStdout:
      return "stdout";
    case DeviceName::kStderr:
      return "stderr";
    case DeviceName::kOutput:
      return "output";
  }
  return "";
}

Result<ObjectUrl> ParseObjectUrl(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalid, fmt::format("\"{}\" {}", text, why));
  };
  if (text.starts_with("file://")) {
    return refuse(
        "names a program inside an image; store the program as an object of its own and "
        "name it as swift://account/container/object");
  }
  if (text.starts_with("zvm://")) {
    return refuse("is a pipe to another group; use connect, and read /dev/in/<session> there");
  }
  if (!text.starts_with(kScheme)) {
    return refuse("is no object; write swift://account/container/object");
  }
  std::string_view rest = text.substr(kScheme.size());
  const std::size_t account_end = rest.find('/');
  if (account_end == std::string_view::npos) return refuse("names no container and no object");
  ObjectUrl url;
  url.account = rest.substr(0, account_end);
  rest.remove_prefix(account_end + 1);
  const std::size_t container_end = rest.find('/');
  url.container = rest.substr(0, container_end);
  if (container_end != std::string_view::npos) url.object = rest.substr(container_end + 1);
  if (url.account.empty()) return refuse("names no account; write ~ for your own");
  if (url.account.contains('*')) return refuse("has a wildcard in its account");
  if (url.container.empty()) return refuse("names no container");
  if (url.object.empty()) {
    return refuse("names a container and no object; to read all its objects, end it with /*");
  }
  if (HasControlCharacter(url.account)) return refuse("has a control character in its account");
  if (text.contains('\0')) return refuse("has a NUL in it");
  if (url.account == "~" || url.account == ".") url.account.clear();
  return url;
}

Result<std::vector<std::string>> SplitArguments(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  bool in_quotes = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\0') return Fail(ErrorCode::kInvalid, "an argument cannot hold a NUL");
    if (c == ' ' && !in_quotes) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
      continue;
    }
    in_word = true;
    if (c == '"') {
      in_quotes = !in_quotes;
    } else if (c == '\\' && line.substr(i).starts_with("\\x")) {
      const int high = i + 2 < line.size() ? digest::HexDigit(line[i + 2]) : -1;
      const int low = i + 3 < line.size() ? digest::HexDigit(line[i + 3]) : -1;
      if (high < 0 || low < 0) {
        return Fail(ErrorCode::kInvalid,
                    fmt::format("\\x at byte {} wants two hexadecimal digits", i));
      }
      if (high == 0 && low == 0) {
        return Fail(ErrorCode::kInvalid, "an argument cannot hold a NUL");
      }
      word.push_back(static_cast<char>(high * 16 + low));
      i += 3;
    } else {
      word.push_back(c);
    }
  }
  if (in_quotes) return Fail(ErrorCode::kInvalid, "a double quote is not closed");
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace zerocloud::job
