#include "middleware/execution/execution_handler.h"

#include <expected>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "middleware/http/reply.h"
#include "middleware/http/target.h"
#include "middleware/http/text.h"
#include "middleware/job/job_spec.h"
#include "middleware/node/render.h"

namespace zerocloud::execution {
namespace {

constexpr std::string_view kHeader = "X-Zerovm-Execute";
constexpr std::string_view kVersion = "1.0";

// A job that was asked for and is not answered yet. Shared by the exchange, the worker that reads
// the document and the engine's callback; whoever takes `done` answers.
struct Pending {
  std::mutex mutex;
  std::function<void(http::Response)> done;  // null: answered, or the client has gone
  bool is_cancelled = false;
  std::unique_ptr<node::JobHandle> handle;

  void Answer(http::Response response) {
    // Called under the lock: once the exchange's destructor has had it, `done` does not run.
    const std::lock_guard lock(mutex);
    if (done) std::exchange(done, nullptr)(std::move(response));
  }
};

struct Job {
  http::RequestHead head;
  http::StoragePath path;
  node::AnswerForm form = node::AnswerForm::kPlain;
  std::string document;
};

plan::Origin OriginOf(const http::StoragePath& path) {
  plan::Origin origin{.account = path.account, .object = std::nullopt};
  if (!path.object.empty()) {
    origin.object = job::ObjectUrl{path.account, path.container, path.object};
  }
  return origin;
}

// "application/json", with or without parameters.
bool IsJson(std::string_view content_type) {
  const std::string_view type = http::Trim(content_type.substr(0, content_type.find(';')));
  return http::EqualsIgnoringCase(type, "application/json");
}

std::expected<http::StoragePath, http::Response> CheckHead(const http::RequestHead& head,
                                                           std::uint64_t document_bytes) {
  const auto refuse = [](int status, std::string_view sentence) {
    return std::unexpected(http::TextResponse(status, sentence));
  };
  if (head.headers.Get(kHeader) != kVersion) {
    return refuse(400,
                  "X-Zerovm-Execute names a version of the job interface; 1.0 is the only one.");
  }
  if (head.method != "POST") {
    http::Response response =
        http::TextResponse(405, "A job is run by POST, not by " + head.method + ".");
    response.headers.Add("Allow", "POST");
    return std::unexpected(std::move(response));
  }
  auto path = http::ParseStoragePath(http::ParseTarget(head.target).path);
  if (!path.has_value()) {
    return refuse(404, "Jobs are posted to /v1/<account> or /v1/<account>/<container>/<object>.");
  }
  if (!path->has_value()) return std::unexpected(http::ErrorResponse(path->error()));
  if (!(*path)->container.empty() && (*path)->object.empty()) {
    return refuse(400, "A job is posted to an account or to an object, not to a container.");
  }
  const auto type = head.headers.Get("Content-Type");
  if (!type.has_value()) {
    return refuse(400, "A job needs Content-Type: application/json.");
  }
  if (!IsJson(*type)) {
    return refuse(415, "A job is a JSON document: Content-Type must be application/json.");
  }
  const std::uint64_t length = head.content_length.value_or(0);
  if (length > document_bytes) {
    const auto over =
        job::OverLimit("the job document has bytes:", "document_bytes", document_bytes, length);
    return std::unexpected(http::ErrorResponse(over.error()));
  }
  return std::move(**path);
}

}  // namespace

class ExecutionHandler::JobExchange : public http::Exchange {
 public:
  JobExchange(ExecutionHandler& handler, Job job) : handler_(handler), job_(std::move(job)) {}
  JobExchange(const JobExchange&) = delete;
  JobExchange& operator=(const JobExchange&) = delete;
  ~JobExchange() override {
    std::unique_ptr<node::JobHandle> handle;
    {
      const std::lock_guard lock(pending_->mutex);
      pending_->is_cancelled = true;
      pending_->done = nullptr;
      handle = std::move(pending_->handle);
    }
    // Outside the lock: it waits for a callback that may be waiting for the lock.
    handle.reset();
    if (ticket_.has_value()) handler_.workers_.Remove(*ticket_);
  }

  Result<void> Write(std::span<const std::byte> chunk) override {
    const std::uint64_t limit = handler_.limits_.document_bytes;
    if (chunk.size() > limit - job_.document.size()) {
      return job::OverLimit("the job document has bytes:", "document_bytes", limit,
                            job_.document.size() + chunk.size());
    }
    const void* bytes = chunk.data();
    job_.document.append(static_cast<const char*>(bytes), chunk.size());
    return {};
  }

  void Finish(std::function<void(http::Response)> done) override {
    pending_->done = std::move(done);
    ticket_ = handler_.workers_.Run([handler = &handler_, pending = pending_,
                                     job = std::move(job_)] { Start(*handler, pending, job); });
  }

 private:
  static void Start(ExecutionHandler& handler, const std::shared_ptr<Pending>& pending,
                    const Job& job) {
    {
      const std::lock_guard lock(pending->mutex);
      if (pending->is_cancelled) return;
    }
    auto caller = handler.authorizer_.AuthorizeJob(job.head, job.path.account);
    if (!caller.has_value()) return pending->Answer(std::move(caller.error()));
    Result<job::JobSpec> spec = job::ParseJob(job.document, handler.limits_);
    if (!spec.has_value()) return pending->Answer(node::RenderError(spec.error(), job.form));
    auto handle = handler.submit_({std::move(*spec), OriginOf(job.path), std::move(*caller)},
                                  [pending, form = job.form](node::JobResult result) {
                                    pending->Answer(node::RenderResponse(std::move(result), form));
                                  });
    // If the client has gone meanwhile, `handle` dies at the end, after the lock.
    const std::lock_guard lock(pending->mutex);
    if (!pending->is_cancelled) pending->handle = std::move(handle);
  }

  ExecutionHandler& handler_;
  Job job_;
  std::optional<node::WorkerPool::Ticket> ticket_;  // of Start()
  std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
};

ExecutionHandler::ExecutionHandler(http::Handler& inner, store::Authorizer& authorizer,
                                   job::JobLimits limits, Submit submit, std::size_t threads)
    : inner_(inner),
      authorizer_(authorizer),
      limits_(limits),
      submit_(std::move(submit)),
      workers_(threads) {}

http::Handler::Begun ExecutionHandler::Begin(const http::RequestHead& head) {
  if (!head.headers.Has(kHeader)) return inner_.Begin(head);
  auto path = CheckHead(head, limits_.document_bytes);
  if (!path.has_value()) return std::move(path.error());
  Job job{.head = head,
          .path = std::move(*path),
          .form = node::ChooseForm(head.headers.Get("Accept").value_or("")),
          .document = {}};
  return std::make_unique<JobExchange>(*this, std::move(job));
}

}  // namespace zerocloud::execution
