#include "middleware/remote/away_gang.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <system_error>
#include <utility>

#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<void> GangAttempt::Open() {
  go_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!go_.is_open()) return FailErrno("cannot watch a gang");
  return {};
}

std::string GangAttempt::StreamId(std::size_t number) {
  const std::lock_guard lock(mutex_);
  std::string& id = ids_[number];
  if (id.empty()) id = NewId();
  return id;
}

void GangAttempt::Ready(std::size_t) {
  if (++ready_ < nodes_.size()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(go_.get(), &one, sizeof one);
}

Result<std::vector<std::unique_ptr<node::RunningSession>>> AwayGang::Start(
    Nodes& nodes, std::vector<node::ElsewhereSession> sessions) {
  auto gang = std::make_shared<AwayGang>(nodes);
  std::vector<std::unique_ptr<node::RunningSession>> running;
  for (node::ElsewhereSession& session : sessions) {
    auto member = std::make_unique<AwaySession>(nodes, std::move(session), gang);
    if (member->pidfd() < 0) {
      gang->is_over_ = true;  // nobody leads it
      return FailErrno("cannot watch a session");
    }
    gang->members_.push_back(member.get());
    running.push_back(std::move(member));
  }
  gang->until_ = steady_clock::now() + nodes.options().gang_wait;
  try {
    gang->thread_ = std::thread([raw = gang.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    gang->is_over_ = true;
    return Fail(ErrorCode::kUnavailable, fmt::format("no thread for a gang: {}", error.what()));
  }
  return running;
}

AwayGang::~AwayGang() {
  if (thread_.joinable()) thread_.join();
}

void AwayGang::WaitUntilOver() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_over_; });
}

void AwayGang::Run() {
  Lead();
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
}

void AwayGang::Lead() {
  while (true) {
    if (stop_.stop_requested()) return EndKilled();
    if (members_.size() > nodes_.known_slots()) {
      return EndAll({ErrorCode::kUnavailable,
                     fmt::format("the gang has {} sessions, and all nodes together {} slots",
                                 members_.size(), nodes_.known_slots())});
    }
    std::vector<const node::ElsewhereSession*> sessions;
    sessions.reserve(members_.size());
    for (const AwaySession* member : members_) sessions.push_back(&member->session());
    const std::optional<std::vector<std::size_t>> nodes = nodes_.ChooseForGang(sessions, avoided_);
    if (!nodes) {
      if (Pause("there are not enough free slots on nodes that answer")) continue;
      return;
    }
    End end = TryOnce(*nodes);
    for (const std::size_t node : *nodes) nodes_.Release(node);
    if (stop_.stop_requested()) return EndKilled();
    if (Judge(*nodes, end)) return;
  }
}

AwayGang::End AwayGang::TryOnce(const std::vector<std::size_t>& nodes) {
  End end;
  end.attempts.resize(members_.size());
  GangAttempt attempt(nodes);
  if (Result<void> opened = attempt.Open(); !opened) {
    end.attempts[0].error = opened.error();
    end.first = 0;
    return end;
  }
  std::stop_source over;
  const std::stop_callback all(stop_.get_token(), [&over] { over.request_stop(); });
  std::mutex mutex;
  const auto take_part = [&](std::size_t member) {
    AwaySession::Attempt tried =
        members_[member]->TryInGang(attempt, member, nodes[member], over.get_token());
    const bool is_good = !tried.error && members_[member]->has_succeeded();
    const std::lock_guard lock(mutex);
    end.attempts[member] = std::move(tried);
    if (is_good || end.first) return;
    end.first = member;
    over.request_stop();
  };
  std::vector<std::thread> threads;
  try {
    for (std::size_t i = 0; i < members_.size(); ++i) threads.emplace_back(take_part, i);
  } catch (const std::system_error& error) {
    const std::lock_guard lock(mutex);
    const std::size_t lacks = threads.size();
    end.attempts[lacks].error =
        Error{ErrorCode::kUnavailable,
              fmt::format("no thread for a session on another node: {}", error.what())};
    if (!end.first) end.first = lacks;
    over.request_stop();
  }
  for (std::thread& thread : threads) thread.join();
  return end;
}

bool AwayGang::Judge(const std::vector<std::size_t>& nodes, End& end) {
  const auto end_one = [&](std::size_t member, bool is_first) {
    AwaySession::Attempt& attempt = end.attempts[member];
    const bool is_killed = attempt.error && !is_first;
    members_[member]->EndInGang(is_killed ? std::nullopt : attempt.error, attempt.alias, is_killed,
                                nodes_.NameOf(nodes[member]), failed_);
  };
  if (!end.first) {
    for (std::size_t i = 0; i < members_.size(); ++i) end_one(i, false);
    return true;
  }
  const std::size_t first = *end.first;
  const AwaySession::Attempt& failure = end.attempts[first];
  const auto end_all = [&] {
    end_one(first, true);  // before the others: it tells why the job fails
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (i != first) end_one(i, false);
    }
    return true;
  };
  if (!failure.error || failure.is_final) return end_all();
  const std::string node = nodes_.NameOf(nodes[first]);
  if (failure.is_busy) return !Pause(fmt::format("{}: {}", node, failure.error->message));
  if (!failure.lost.empty() && ++losses_ <= nodes_.attempts()) {
    const Result<void> again =
        members_[first]->RunLostAgain(failure.lost, failure.error->message, stop_.get_token());
    if (again || stop_.stop_requested()) return false;
    end.attempts[first].error = again.error();
    return end_all();
  }
  if (failure.is_connection) nodes_.MarkDown(nodes[first], failure.error->message);
  failed_.push_back(fmt::format("{}: {}", node, failure.error->message));
  if (++failures_ < nodes_.attempts()) {
    until_ = steady_clock::now() + nodes_.options().gang_wait;  // it waits anew
    avoided_.push_back(nodes[first]);
    return false;
  }
  if (!failure.alias.empty()) return end_all();
  EndAll({ErrorCode::kUnavailable, fmt::format("{}", fmt::join(failed_, "; "))});
  return true;
}

void AwayGang::EndAll(const Error& error) {
  for (AwaySession* member : members_) member->EndInGang(error, {}, false, {}, failed_);
}

void AwayGang::EndKilled() {
  for (AwaySession* member : members_) member->EndInGang({}, {}, true, {}, failed_);
}

bool AwayGang::Pause(const std::string& why) {
  if (steady_clock::now() >= until_) {
    EndAll({ErrorCode::kUnavailable,
            fmt::format("the gang of {} sessions found no {} free slots within {} s: {}",
                        members_.size(), members_.size(),
                        std::chrono::ceil<std::chrono::seconds>(nodes_.options().gang_wait).count(),
                        why)});
    return false;
  }
  // Each at another time than the others who wait for the same slots.
  constexpr milliseconds kLongest{500};
  std::minstd_rand random(std::random_device{}());
  const milliseconds rest(
      std::uniform_int_distribution<std::int64_t>(pause_.count() / 2, pause_.count())(random));
  pause_ = std::min(2 * pause_, kLongest);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop_.get_token(), rest, [] { return false; });
  return true;
}

// The part of AwaySession for one of a gang.

AwaySession::Attempt AwaySession::TryInGang(GangAttempt& attempt, std::size_t member,
                                            std::size_t node, const std::stop_token& stop) {
  attempt_ = &attempt;
  member_ = member;
  stop_ = stop;
  report_ = {};
  Attempt tried = TryOn(node);
  attempt_ = nullptr;
  return tried;
}

void AwaySession::EndInGang(std::optional<Error> error, std::string alias, bool is_killed,
                            std::string node, std::vector<std::string> failed) {
  if (is_killed) {
    report_ = {};
    report_.cause = runtime::Cause::kKilled;
    report_.message = "killed";
  }
  end_->error = std::move(error);
  end_->failed_alias = std::move(alias);
  end_->node = std::move(node);
  end_->failed = std::move(failed);
  session_.held_inputs.clear();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(ended_.get(), &one, sizeof one);
}

}  // namespace zerocloud::remote
