#include "middleware/server/trans_id.h"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace zerocloud::server {

std::string NewTransId(std::string_view extra) {
  std::array<unsigned char, 11> random{};
  // Ids need to differ, not to be secret: a failing source (never seen after boot) leaves the time.
  [[maybe_unused]] const auto got = ::getrandom(random.data(), random.size(), 0);

  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id = "tx";
  for (const unsigned char byte : random) {
    id.push_back(kDigits[byte >> 4U]);
    id.push_back(kDigits[byte & 15U]);
  }
  id.resize(2 + 21);
  std::array<char, 24> time{};
  const int length = std::snprintf(time.data(), time.size(), "-%010llx",
                                   static_cast<unsigned long long>(std::time(nullptr)));
  id.append(time.data(), static_cast<std::size_t>(length));

  if (!extra.empty()) id.push_back('-');
  for (const char c : extra.substr(0, 32)) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    if (is_plain) id.push_back(c);
  }
  return id;
}

}  // namespace zerocloud::server
