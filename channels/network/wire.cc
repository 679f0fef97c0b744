#include "channels/network/wire.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace zerocloud::network {
namespace {

constexpr std::string_view kMagic = "ZVMTCP01";

void PutU32(std::uint32_t value, std::byte* to) {
  for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<std::byte>(value >> shift);
}

std::uint32_t GetU32(const std::byte* from) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(from[i]);
  return value;
}

std::string Hex(std::span<const std::byte> bytes) {
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    hex += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return hex;
}

}  // namespace

std::array<std::byte, kGreetingSize> MakeGreeting(std::uint32_t node) {
  std::array<std::byte, kGreetingSize> greeting{};
  std::memcpy(greeting.data(), kMagic.data(), kMagic.size());
  PutU32(node, greeting.data() + kMagic.size());
  return greeting;
}

std::optional<std::uint32_t> ParseGreeting(std::span<const std::byte> greeting) {
  if (greeting.size() != kGreetingSize ||
      std::memcmp(greeting.data(), kMagic.data(), kMagic.size()) != 0 ||
      GetU32(greeting.data() + 12) != 0) {
    return std::nullopt;
  }
  return GetU32(greeting.data() + kMagic.size());
}

struct StreamDigest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  bool is_good = context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1;
};

StreamDigest::StreamDigest() : state_(std::make_unique<State>()) {}
StreamDigest::~StreamDigest() { EVP_MD_CTX_free(state_->context); }

void StreamDigest::Update(std::span<const std::byte> bytes) {
  if (bytes.empty() || !state_->is_good) return;
  state_->is_good = EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1;
}

// Where OpenSSL fails, a digest that no peer has: the stream then counts as broken.
std::array<std::byte, kDigestSize> StreamDigest::Final() {
  std::array<std::byte, kDigestSize> digest{};
  if (!state_->is_good) return digest;
  EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  return digest;
}

void FrameWriter::AppendFrame(std::span<const std::byte> bytes, std::vector<std::byte>& out) {
  std::array<std::byte, kFrameHeaderSize> header{};
  PutU32(static_cast<std::uint32_t>(bytes.size()), header.data());
  out.insert(out.end(), header.begin(), header.end());
  out.insert(out.end(), bytes.begin(), bytes.end());
  running_.Update(bytes);
}

void FrameWriter::AppendEnd(std::vector<std::byte>& out) {
  const std::array<std::byte, kDigestSize> digest = running_.Final();
  out.insert(out.end(), kFrameHeaderSize, std::byte{0});
  out.insert(out.end(), digest.begin(), digest.end());
  digest_ = Hex(digest);
}

FrameReader::Step FrameReader::Next(std::span<const std::byte> arrived) {
  if (frame_left_ > 0) {
    const auto data = arrived.first(std::min(frame_left_, arrived.size()));
    frame_left_ -= data.size();
    running_.Update(data);
    return {data.size(), data};
  }
  const std::size_t wanted = is_end_ ? kDigestSize : kFrameHeaderSize;
  const std::size_t taken = std::min(wanted - head_size_, arrived.size());
  std::memcpy(head_.data() + head_size_, arrived.data(), taken);
  head_size_ += taken;
  if (head_size_ < wanted) return {taken, {}};

  head_size_ = 0;
  if (is_end_) {
    const auto own = running_.Final();
    digest_ = Hex(own);
    state_ = own == head_ ? State::kEnded : State::kBroken;
    if (state_ == State::kBroken) error_ = "its digest is not that of its bytes";
    return {taken, {}};
  }
  frame_left_ = GetU32(head_.data());
  is_end_ = frame_left_ == 0;
  if (frame_left_ > kMaxFrameSize) {
    state_ = State::kBroken;
    error_ = "a frame is longer than 65536 bytes";
  }
  return {taken, {}};
}

}  // namespace zerocloud::network
