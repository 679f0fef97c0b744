#include "middleware/node/elsewhere.h"
#include "middleware/node/runner.h"

namespace zerocloud::node {
namespace {

class SandboxSession : public RunningSession {
 public:
  explicit SandboxSession(std::unique_ptr<runtime::Session> session)
      : session_(std::move(session)) {}
  [[nodiscard]] int pidfd() const override { return session_->pidfd(); }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const override {
    return session_->deadline();
  }
  void Kill(runtime::Cause cause) override { session_->Kill(cause); }
  runtime::SessionReport Collect() override { return session_->Collect(); }

 private:
  std::unique_ptr<runtime::Session> session_;
};

class SandboxRunner : public Runner {
 public:
  Result<std::shared_ptr<const loader::Image>> Load(std::span<const std::byte> program) override {
    return loader::Image::Load(program);
  }
  Result<std::unique_ptr<RunningSession>> Start(runtime::SessionRequest request) override {
    Result<std::unique_ptr<runtime::Session>> session = runtime::Session::Start(std::move(request));
    if (!session) return Fail(session);
    return std::make_unique<SandboxSession>(std::move(*session));
  }
};

}  // namespace

std::unique_ptr<ElsewhereEnd> RunningSession::TakeElsewhere() { return nullptr; }

std::unique_ptr<Runner> MakeSandboxRunner() { return std::make_unique<SandboxRunner>(); }

}  // namespace zerocloud::node
