#include "middleware/node/engine.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <system_error>
#include <utility>

#include "middleware/node/engine_core.h"
#include "middleware/node/file_limit.h"

namespace zerocloud::node {
namespace {

class Handle : public JobHandle {
 public:
  Handle(std::shared_ptr<Engine::Core> core, Engine::Core::JobId id,
         std::shared_ptr<Completion> completion)
      : core_(std::move(core)), id_(id), completion_(std::move(completion)) {}
  ~Handle() override {
    completion_->Cancel();
    core_->Post([core = core_.get(), id = id_] { core->Cancel(id); });
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

 private:
  std::shared_ptr<Engine::Core> core_;
  Engine::Core::JobId id_;
  std::shared_ptr<Completion> completion_;
};

}  // namespace

Engine::Engine(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Engine::~Engine() { core_->Close(); }

Result<std::unique_ptr<Engine>> Engine::Start(EngineConfig config, store::ObjectStore& store,
                                              Runner& runner, Elsewhere* elsewhere) {
  const std::size_t files = RaiseFileLimit() / 4 * 3;  // the rest is the store's and the server's
  Result<std::shared_ptr<Spool>> spool = Spool::Open(config.spool_directory, config.spool_bytes);
  if (!spool) return Fail(spool);
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.is_open() || !wakeup.is_open()) return FailErrno("cannot start the job engine");
  try {
    return std::unique_ptr<Engine>(
        new Engine(std::make_shared<Core>(std::move(config), files, store, runner, elsewhere,
                                          std::move(*spool), std::move(epoll), std::move(wakeup))));
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("cannot start the job engine: {}", error.what()));
  }
}

std::unique_ptr<JobHandle> Engine::Submit(JobRequest request, std::function<void(JobResult)> done) {
  auto completion = std::make_shared<Completion>(std::move(done));
  const Core::JobId id = core_->Submit(std::move(request), completion);
  return std::make_unique<Handle>(core_, id, std::move(completion));
}
EngineStats Engine::stats() const { return core_->stats(); }
void Engine::WaitUntilIdle() { core_->WaitUntilIdle(); }

}  // namespace zerocloud::node
