#include "middleware/peer/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "channels/base/unique_fd.h"
#include "middleware/digest/hex.h"

namespace zerocloud::peer {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) return words;
    line.remove_prefix(start);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::optional<int> Digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '-') {
    return std::nullopt;
  }
  return value;
}

// "2026-11-01T00:00:00Z".
std::optional<Seconds> ParseTime(std::string_view text) {
  if (text.size() != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text[19] != 'Z') {
    return std::nullopt;
  }
  const auto year = Digits(text.substr(0, 4));
  const auto month = Digits(text.substr(5, 2));
  const auto day = Digits(text.substr(8, 2));
  const auto hour = Digits(text.substr(11, 2));
  const auto minute = Digits(text.substr(14, 2));
  const auto second = Digits(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return Seconds{std::chrono::sys_days(date).time_since_epoch().count()} * 86'400 +
         Seconds{*hour} * 3600 + Seconds{*minute} * 60 + *second;
}

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxKeyIdBytes && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
}

// Why the words are no key; empty: `key` is it.
std::string ReadKey(const std::vector<std::string_view>& words, Key& key) {
  if (words.size() != 4) return "a key is an id, two times (or \"-\") and 64 hexadecimal digits";
  if (!IsId(words[0])) {
    return fmt::format("an id is at most {} letters, digits and \"._-\"", kMaxKeyIdBytes);
  }
  key.id = words[0];
  const auto read_time = [&](std::string_view text, Seconds& time) {
    const std::optional<Seconds> parsed = ParseTime(text);
    if (parsed) time = *parsed;
    return parsed.has_value() || text == "-";
  };
  if (!read_time(words[1], key.from) || !read_time(words[2], key.until)) {
    return "a time is written like 2026-11-01T00:00:00Z, or \"-\" for none";
  }
  if (key.from >= key.until) return "the key ends before it begins";
  const std::optional<std::string> secret = digest::FromHex(words[3]);
  if (!secret || secret->size() != kKeyBytes) return "a key has 64 hexadecimal digits";
  std::ranges::copy(*secret, key.secret.begin());
  return {};
}

std::string TimeText(Seconds time) {
  const std::chrono::sys_seconds point{std::chrono::seconds(time)};
  const auto day = std::chrono::floor<std::chrono::days>(point);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(point - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace

SecondsClock SystemSeconds() {
  return [] {
    return Seconds{std::chrono::floor<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count()};
  };
}

std::string Key::WhyNot(Seconds now) const {
  if (now < from) {
    return fmt::format("is valid only from {} on; this machine's clock says {}", TimeText(from),
                       TimeText(now));
  }
  if (now >= until) {
    return fmt::format("expired at {}; this machine's clock says {}", TimeText(until),
                       TimeText(now));
  }
  return {};
}

Result<std::vector<Key>> ParseKeys(std::string_view text) {
  if (text.size() > kMaxKeyFileBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("a key file has at most {} bytes", kMaxKeyFileBytes));
  }
  std::vector<Key> keys;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = Words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || words.front().starts_with('#')) continue;
    const auto fail = [&](const std::string& why) {
      return Fail(ErrorCode::kInvalid, fmt::format("line {}: {}", line, why));
    };
    Key key;
    const std::string why = ReadKey(words, key);
    if (!why.empty()) return fail(why);
    if (FindKey(keys, key.id) != nullptr) return fail("key \"" + key.id + "\" is there twice");
    if (keys.size() == kMaxKeys) return fail(fmt::format("there are more than {} keys", kMaxKeys));
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return Fail(ErrorCode::kInvalid, "there is no key in it");
  return keys;
}

const Key* ChooseKey(const std::vector<Key>& keys, Seconds now) {
  const Key* chosen = nullptr;
  for (const Key& key : keys) {
    if (!key.WhyNot(now).empty()) continue;
    if (chosen == nullptr || key.from >= chosen->from) chosen = &key;
  }
  return chosen;
}

const Key* FindKey(const std::vector<Key>& keys, std::string_view id) {
  const auto found = std::ranges::find(keys, id, &Key::id);
  return found == keys.end() ? nullptr : &*found;
}

KeyFile::Version KeyFile::Look() const {
  struct stat facts{};
  if (::stat(path_.c_str(), &facts) != 0) return {};
  return {facts.st_ino, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec};
}

Result<KeyFile::Keys> KeyFile::Read(Version& version) const {
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return FailErrno("cannot read the key file " + path_);
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return FailErrno("cannot read the key file " + path_);
  version = {facts.st_ino, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec};
  if (!S_ISREG(facts.st_mode)) {
    return Fail(ErrorCode::kInvalid, "the key file " + path_ + " is no regular file");
  }
  if ((facts.st_mode & S_IRWXO) != 0) {
    return Fail(ErrorCode::kForbidden, "the key file " + path_ +
                                           " is open to everybody on this machine: make it "
                                           "0640 or less, and new keys if it was so for long");
  }
  std::string text(kMaxKeyFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the key file " + path_);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  Result<std::vector<Key>> keys = ParseKeys(text);
  if (!keys) return Fail(keys.error().code, "key file " + path_ + ": " + keys.error().message);
  return std::make_shared<const std::vector<Key>>(std::move(*keys));
}

Result<std::unique_ptr<KeyFile>> KeyFile::Open(std::string path, SecondsClock clock,
                                               std::function<void(const std::string&)> complain) {
  std::unique_ptr<KeyFile> file(
      new KeyFile(std::move(path), std::move(clock), std::move(complain)));
  Result<Keys> keys = file->Read(file->version_);
  if (!keys) return Fail(keys);
  file->keys_ = std::move(*keys);
  return file;
}

std::shared_ptr<const std::vector<Key>> KeyFile::Current() {
  const std::lock_guard lock(mutex_);
  if (Look() == version_) return keys_;
  Version version;
  Result<Keys> keys = Read(version);
  if (version == version_) return keys_;  // the same that was complained of
  version_ = version;
  if (keys) {
    keys_ = std::move(*keys);
  } else {
    complain_(keys.error().message + "; the keys read before stay in use");
  }
  return keys_;
}

}  // namespace zerocloud::peer
