// ContainerPolicies: which storage policy containers have, as far as is known. Asked of Swift at
// most once for all who want to know it at the same time, and remembered for a while: a container
// keeps its policy as long as it lives. Nothing but places depends on it, no right does.
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "middleware/store/object_store.h"

namespace zerocloud::upstream {

class HttpClient;

class ContainerPolicies {
 public:
  using Clock = std::chrono::steady_clock;
  // The name of the container's policy, asked as the caller; nothing if he is not told. May block.
  using Ask = std::function<std::optional<std::string>(
      const store::Caller&, const std::string& account, const std::string& container)>;
  struct Limits {
    std::size_t containers = 10'000;
    std::chrono::milliseconds known{600'000};
    std::chrono::milliseconds unknown{5'000};  // somebody else may be told
  };
  ContainerPolicies(Ask ask, Limits limits, std::function<Clock::time_point()> now = Clock::now)
      : ask_(std::move(ask)), limits_(limits), now_(std::move(now)) {}

  // What an answer of Swift's said besides.
  void Learn(const std::string& account, const std::string& container, std::string policy);
  // Blocks as long as asking does, by this or another thread.
  std::optional<std::string> Of(const store::Caller& caller, const std::string& account,
                                const std::string& container);

  [[nodiscard]] std::size_t size() const;  // containers that are remembered

 private:
  struct Entry {
    bool is_asked = false;  // by somebody, at this moment
    std::optional<std::string> policy;
    Clock::time_point until;
  };
  using Name = std::pair<std::string, std::string>;
  // What is there or a new one, for which others may have to go.
  Entry& At(const Name& name);

  const Ask ask_;
  const Limits limits_;
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;
  std::condition_variable answered_;
  std::map<Name, Entry> entries_;  // guarded by mutex_
};

// By a HEAD on the container. `url` as in CurlStoreOptions.
std::optional<std::string> AskPolicy(HttpClient& client, const std::string& url,
                                     const store::Caller& caller, const std::string& account,
                                     const std::string& container);

}  // namespace zerocloud::upstream
