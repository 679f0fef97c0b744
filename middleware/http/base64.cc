#include "middleware/http/base64.h"

#include <openssl/evp.h>

#include <algorithm>

namespace zerocloud::http {
namespace {

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool IsDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
         c == '/';
}

}  // namespace

std::string ToBase64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL ends it with a NUL
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), Bytes(bytes),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  std::string padded(text);
  if (padded.size() % 4 == 0 && padded.ends_with('=')) {
    padded.resize(padded.size() - (padded.ends_with("==") ? 2 : 1));
  }
  // OpenSSL would pass over white space.
  if (!std::ranges::all_of(padded, IsDigit) || padded.size() % 4 == 1) return std::nullopt;
  const std::size_t missing = (4 - padded.size() % 4) % 4;
  padded.append(missing, '=');
  std::string bytes(padded.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), Bytes(padded),
                      static_cast<int>(padded.size())) < 0) {
    return std::nullopt;
  }
  bytes.resize(bytes.size() - missing);
  return bytes;
}

}  // namespace zerocloud::http
