// ExecutionHandler: the requests that run jobs, picked out of all others.
//
//   POST /v1/<account>                       X-Zerovm-Execute: 1.0, a job document as JSON
//   POST /v1/<account>/<container>/<object>  the same; the object is the job's pathless input
//
// A request without X-Zerovm-Execute goes to the inner handler untouched. The caller is authorised
// and the document read on worker threads, so nothing here blocks a server's thread. Destroying the
// exchange (the client has gone) ends the job, and takes its document out of the queue.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "middleware/http/message.h"
#include "middleware/job/job_limits.h"
#include "middleware/node/engine.h"
#include "middleware/node/worker_pool.h"
#include "middleware/store/authorizer.h"

namespace zerocloud::execution {

// How jobs are started: node::Engine::Submit, or a fake.
using Submit = std::function<std::unique_ptr<node::JobHandle>(
    node::JobRequest request, std::function<void(node::JobResult)> done)>;

class ExecutionHandler : public http::Handler {
 public:
  // All that is referred to outlives the handler; the handler outlives its exchanges.
  ExecutionHandler(http::Handler& inner, store::Authorizer& authorizer, job::JobLimits limits,
                   Submit submit, std::size_t threads);

  Begun Begin(const http::RequestHead& head) override;
  // Requests whose document has come and that no thread has begun with.
  [[nodiscard]] std::size_t waiting() { return workers_.queued(); }

 private:
  class JobExchange;

  http::Handler& inner_;
  store::Authorizer& authorizer_;
  const job::JobLimits limits_;
  const Submit submit_;
  node::WorkerPool workers_;  // last: its threads end before what they use
};

}  // namespace zerocloud::execution
