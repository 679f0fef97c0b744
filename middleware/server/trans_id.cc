#include "middleware/server/trans_id.h"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <ctime>

namespace zerocloud::server {

namespace {

// From the host's random source, some thousand bytes at a time.
std::uint64_t Random() {
  thread_local std::array<std::uint64_t, 512> numbers{};
  thread_local std::size_t used = numbers.size();
  if (used == numbers.size()) {
    // Ids need to differ, not to be secret: a failing source (never seen after boot) leaves the
    // time.
    [[maybe_unused]] const auto got = ::getrandom(numbers.data(), sizeof(numbers), 0);
    used = 0;
  }
  return numbers[used++];
}

void AppendHex(std::string& out, std::uint64_t number, int digits) {
  std::array<char, 16> text;
  for (int i = digits - 1; i >= 0; --i) {
    text[static_cast<std::size_t>(i)] = "0123456789abcdef"[number & 15U];
    number >>= 4U;
  }
  out.append(text.data(), static_cast<std::size_t>(digits));
}

}  // namespace

std::string NewTransId(std::string_view extra) {
  std::string id;
  id.reserve(40 + extra.size());
  id = "tx";
  AppendHex(id, Random(), 16);
  AppendHex(id, Random(), 5);
  id.push_back('-');
  AppendHex(id, static_cast<std::uint64_t>(std::time(nullptr)), 10);

  if (!extra.empty()) id.push_back('-');
  for (const char c : extra.substr(0, 32)) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    if (is_plain) id.push_back(c);
  }
  return id;
}

}  // namespace zerocloud::server
