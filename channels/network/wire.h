// How a `tcp:` channel looks on the wire (docs/manifest.md, "Network channels", is the same for
// others who would speak it). One TCP connection carries one stream, from the writer, who connects,
// to the reader, who listens. All numbers are big-endian.
//
//   writer: greeting   "ZVMTCP01", u32 node number of the writer or 0, u32 0
//   reader: welcome    "ZVMTCPOK"
//   writer: frames     u32 length from 1 to 65536, then as many bytes
//   writer: end        u32 0, then the SHA-256 of all bytes in the frames
//   reader: verdict    one byte, 'K' if it has the same digest, 'X' if not
//
// A connection that closes before its end is an error on both sides. Pure; nothing is sent here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zerocloud::network {

inline constexpr std::size_t kGreetingSize = 16;
inline constexpr std::string_view kWelcome = "ZVMTCPOK";
inline constexpr std::size_t kFrameHeaderSize = 4;
inline constexpr std::size_t kMaxFrameSize = 65536;
inline constexpr std::size_t kDigestSize = 32;
inline constexpr std::byte kVerdictGood{'K'};
inline constexpr std::byte kVerdictBad{'X'};

std::array<std::byte, kGreetingSize> MakeGreeting(std::uint32_t node);
// The writer's node number; nullopt for what is no greeting.
std::optional<std::uint32_t> ParseGreeting(std::span<const std::byte> greeting);

// A running SHA-256.
class StreamDigest {
 public:
  StreamDigest();
  StreamDigest(const StreamDigest&) = delete;
  StreamDigest& operator=(const StreamDigest&) = delete;
  ~StreamDigest();
  void Update(std::span<const std::byte> bytes);
  // Ends it.
  std::array<std::byte, kDigestSize> Final();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The writer's side: what to send, appended to a buffer.
class FrameWriter {
 public:
  // REQUIRES: 1 to kMaxFrameSize bytes.
  void AppendFrame(std::span<const std::byte> bytes, std::vector<std::byte>& out);
  void AppendEnd(std::vector<std::byte>& out);
  // Lower-case hex; after AppendEnd().
  [[nodiscard]] const std::string& digest() const { return digest_; }

 private:
  StreamDigest running_;
  std::string digest_;
};

// The reader's side: takes whatever arrives, cut anyhow.
class FrameReader {
 public:
  enum class State : std::uint8_t { kOpen, kEnded, kBroken };

  struct Step {
    std::size_t taken = 0;            // from the front of what was given; > 0
    std::span<const std::byte> data;  // the part of it that belongs to the stream; may be empty
  };
  // REQUIRES: state() is kOpen and `arrived` is not empty.
  Step Next(std::span<const std::byte> arrived);

  [[nodiscard]] State state() const { return state_; }
  // Why it is kBroken.
  [[nodiscard]] std::string_view error() const { return error_; }
  // Lower-case hex; once kEnded.
  [[nodiscard]] const std::string& digest() const { return digest_; }

 private:
  State state_ = State::kOpen;
  std::string_view error_;
  std::string digest_;
  StreamDigest running_;
  std::array<std::byte, kDigestSize> head_{};  // a header or the sender's digest, as it comes in
  std::size_t head_size_ = 0;
  std::size_t frame_left_ = 0;
  bool is_end_ = false;  // the length 0 has been read
};

}  // namespace zerocloud::network
