// An upstream whose answers end with bytes that its system holds back until those before them are
// acknowledged (Nagle's algorithm), as Swift's do; short bodies are held back until their head is.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "middleware/server/testing/front.h"

namespace zerocloud::server {

inline constexpr int kHeldBackAnswers = 30;
// Linux delays an acknowledgement by 40 ms, when it does.
inline constexpr std::chrono::milliseconds kNotDelayed{30};

inline ScriptedUpstream::Script AnswersHeldBack(std::size_t size) {
  return [size](RawClient& peer, int) {
    const std::string_view last = "held back!";
    const std::string before(1000, 'x');
    for (int i = 0; i < kHeldBackAnswers; ++i) {
      ASSERT_FALSE(ReadHead(peer).empty());
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
      peer.Send(std::string(size - before.size() - last.size(), 'x'));
      peer.AwaitAcknowledgement();
      peer.Send(before);
      peer.Send(last);
    }
  };
}

// How long the fastest of those answers took, but for the first ones: a young connection
// acknowledges everything at once. `take` gets one answer.
inline std::chrono::milliseconds FastestHeldBack(const std::function<void()>& take) {
  constexpr int kYoung = 10;
  auto fastest = std::chrono::milliseconds::max();
  for (int i = 0; i < kHeldBackAnswers; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    take();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begun);
    if (i >= kYoung) fastest = std::min(fastest, took);
  }
  return fastest;
}

}  // namespace zerocloud::server
