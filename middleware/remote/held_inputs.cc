#include "middleware/remote/held_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace zerocloud::remote {

Result<UniqueFd> HeldInputs::Open(const OfferedChannel& offered,
                                  const std::function<Result<UniqueFd>()>& new_file) {
  if (offered.holder.empty()) {
    const std::shared_ptr<const Hold> hold = holds_.Find(proxy_, offered.hold);
    if (hold != nullptr && hold->size() == offered.size) return hold->AsFile();
    Lose(offered.hold, "this node does not have it");
    return UniqueFd();
  }
  Result<UniqueFd> file = new_file();
  if (!file) return file;
  const HeldFacts facts{offered.hold, offered.size, offered.sha256};
  const FetchEnd end = fetcher_.Fetch(offered.holder, facts, file->get());
  switch (end.kind) {
    case FetchEnd::Kind::kWhole:
      return file;
    case FetchEnd::Kind::kDisk:
      return Fail(ErrorCode::kUnavailable, end.error.message);
    case FetchEnd::Kind::kLost:
    case FetchEnd::Kind::kBroken:
      break;
  }
  Lose(offered.hold, fmt::format("{}: {}", offered.holder, end.error.message));
  return UniqueFd();
}

void HeldInputs::Lose(const std::string& hold, std::string why) {
  constexpr std::size_t kReasons = 8;
  lost_.push_back(hold);
  const bool is_new = std::ranges::find(why_, why) == why_.end();
  if (is_new && why_.size() < kReasons) why_.push_back(std::move(why));
}

std::optional<Failure> HeldInputs::failure() const {
  if (lost_.empty()) return std::nullopt;
  return Failure{{ErrorCode::kUnavailable, fmt::format("{}", fmt::join(why_, "; "))}, {}, lost_};
}

}  // namespace zerocloud::remote
