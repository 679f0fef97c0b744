#include "middleware/store/object_put.h"

#include <array>
#include <utility>

#include "middleware/http/conditional.h"
#include "middleware/http/date.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/store/naming.h"
#include "middleware/store/upload.h"

namespace zerocloud::store {
namespace {

// Headers that an object keeps and gives back as they came.
constexpr std::array<std::string_view, 6> kKeptHeaders = {"Content-Encoding", "Content-Disposition",
                                                          "Content-Language", "Cache-Control",
                                                          "Expires",          "X-Robots-Tag"};

// Longest value of one of these, and of Content-Type: a header line of 8 KiB holds no more.
constexpr std::size_t kMaxHeaderValue = 8192;

Result<std::optional<std::int64_t>> ReadDeleteAt(const SwiftRequest& request) {
  const http::Headers& headers = request.head->headers;
  const std::int64_t now = request.store->Now().FloorSeconds();
  constexpr std::uint64_t kLatest = 9'999'999'999;
  if (const auto after = headers.Get("X-Delete-After")) {
    const auto seconds = http::ParseNumber(*after);
    if (!seconds || *seconds == 0 || *seconds > kLatest) {
      return Fail(ErrorCode::kInvalid, "X-Delete-After is not a number of seconds above 0");
    }
    return std::optional<std::int64_t>(now + static_cast<std::int64_t>(*seconds));
  }
  if (const auto at = headers.Get("X-Delete-At")) {
    const auto seconds = http::ParseNumber(*at);
    if (!seconds || *seconds > kLatest) {
      return Fail(ErrorCode::kInvalid, "X-Delete-At is not a time in seconds since 1970");
    }
    if (static_cast<std::int64_t>(*seconds) <= now) {
      return Fail(ErrorCode::kInvalid, "X-Delete-At is in the past");
    }
    return std::optional<std::int64_t>(static_cast<std::int64_t>(*seconds));
  }
  return std::optional<std::int64_t>();
}

Result<void> CheckSupported(const SwiftRequest& request) {
  const http::Headers& headers = request.head->headers;
  const bool is_manifest = headers.Has("X-Object-Manifest") ||
                           headers.Has("X-Static-Large-Object") ||
                           request.query.Get("multipart-manifest") == "put";
  if (is_manifest) {
    return Fail(ErrorCode::kInvalid,
                "large-object manifests (SLO, DLO) are not supported: upload the object as one, up "
                "to max_file_size, " +
                    std::to_string(request.store->max_object_size()) + " bytes");
  }
  if (headers.Has("X-Symlink-Target")) {
    return Fail(ErrorCode::kInvalid, "symbolic links (X-Symlink-Target) are not supported");
  }
  return {};
}

http::Response Created(const ObjectDescription& description) {
  http::Response response = Empty(201);
  response.headers.Set("Etag", description.etag);
  response.headers.Set("Last-Modified", http::FormatDate(description.timestamp.CeilSeconds()));
  return response;
}

http::Response CommitResponse(const Result<ObjectDescription>& committed, bool must_be_new) {
  if (committed) return Created(*committed);
  if (must_be_new && committed.error().code == ErrorCode::kConflict) {
    return http::TextResponse(412, committed.error().message);
  }
  return StoreErrorResponse(committed.error());
}

// What is left to check of a PUT when its bytes are there.
struct PutConditions {
  std::optional<std::uint64_t> size;
  std::string etag;  // empty: none was given
  bool must_be_new = false;
};

class PutExchange : public http::Exchange {
 public:
  PutExchange(DirectoryStore& store, ObjectPath path, DirectoryStore::NewDescription description,
              PutConditions conditions, std::unique_ptr<Upload> upload)
      : store_(&store),
        path_(std::move(path)),
        description_(std::move(description)),
        conditions_(std::move(conditions)),
        upload_(std::move(upload)) {}

  Result<void> Write(std::span<const std::byte> chunk) override {
    if (error_) return std::unexpected<Error>(*error_);
    auto written = upload_->Write(chunk);
    if (!written) error_ = written.error();
    return written;
  }

  void Finish(std::function<void(http::Response)> done) override { done(Conclude()); }

 private:
  http::Response Conclude() {
    if (error_) return StoreErrorResponse(*error_);
    if (conditions_.size && upload_->size() != *conditions_.size) {
      return http::TextResponse(499, "The body ended after " + std::to_string(upload_->size()) +
                                         " of " + std::to_string(*conditions_.size) +
                                         " bytes; nothing was stored.");
    }
    if (!conditions_.etag.empty() && !http::EqualsIgnoringCase(conditions_.etag, upload_->Etag())) {
      http::Response response = http::TextResponse(
          422, "The MD5 of the body is " + upload_->Etag() + ", the request's ETag says " +
                   conditions_.etag + "; nothing was stored.");
      response.headers.Set("Etag", upload_->Etag());
      return response;
    }
    return CommitResponse(
        store_->Commit(std::move(upload_), path_, description_, conditions_.must_be_new),
        conditions_.must_be_new);
  }

  DirectoryStore* store_;
  ObjectPath path_;
  DirectoryStore::NewDescription description_;
  PutConditions conditions_;
  std::unique_ptr<Upload> upload_;
  std::optional<Error> error_;
};

// Copies in Finish(), since it may take long; takes and ignores a body.
class CopyExchange : public http::Exchange {
 public:
  CopyExchange(DirectoryStore& store, StoredObject source, ObjectPath from, ObjectPath to,
               DirectoryStore::NewDescription description, bool must_be_new)
      : store_(&store),
        source_(std::move(source)),
        from_(std::move(from)),
        to_(std::move(to)),
        description_(std::move(description)),
        must_be_new_(must_be_new) {}

  Result<void> Write(std::span<const std::byte> chunk) override {
    if (chunk.empty()) return {};
    return Fail(ErrorCode::kInvalid, "a copy takes no body");
  }

  void Finish(std::function<void(http::Response)> done) override { done(Conclude()); }

 private:
  http::Response Conclude() {
    auto upload = store_->BeginUpload();
    if (!upload) return StoreErrorResponse(upload.error());
    const auto copied = (*upload)->WriteFile(source_.file.get(), source_.description.size);
    if (!copied) return StoreErrorResponse(copied.error());
    http::Response response = CommitResponse(
        store_->Commit(*std::move(upload), to_, description_, must_be_new_), must_be_new_);
    if (response.status == 201) {
      response.headers.Set("X-Copied-From", http::PercentEncode(from_.container) + "/" +
                                                http::PercentEncode(from_.object));
      response.headers.Set("X-Copied-From-Account", http::PercentEncode(from_.account));
      response.headers.Set("X-Copied-From-Last-Modified",
                           http::FormatDate(source_.description.timestamp.CeilSeconds()));
    }
    return response;
  }

  DirectoryStore* store_;
  StoredObject source_;
  ObjectPath from_;
  ObjectPath to_;
  DirectoryStore::NewDescription description_;
  bool must_be_new_;
};

// If-None-Match of a PUT: only "*" makes sense.
std::expected<bool, http::Response> MustBeNew(const SwiftRequest& request) {
  const auto none_match = request.head->headers.Get("If-None-Match");
  if (!none_match) return false;
  if (http::Trim(*none_match) == "*") return true;
  return std::unexpected(
      http::TextResponse(400, "If-None-Match of a PUT must be *: create, do not replace."));
}

// Rights and container of the target, so that a client that waits for 100 Continue hears of it.
std::expected<void, http::Response> CheckTarget(const SwiftRequest& request,
                                                const ObjectPath& target, bool must_be_new) {
  const ContainerKey key{target.account, target.container};
  if (auto allowed = RequireRight(request, key, Right::kWrite); !allowed) return allowed;
  if (const auto container = request.store->DescribeContainer(key); !container) {
    return std::unexpected(StoreErrorResponse(container.error()));
  }
  if (must_be_new && request.store->OpenObject(target)) {
    return std::unexpected(
        http::TextResponse(412, "The object '" + target.object + "' exists already."));
  }
  return {};
}

http::Handler::Begun Copy(const SwiftRequest& request, const ObjectPath& from,
                          const ObjectPath& to) {
  auto must_be_new = MustBeNew(request);
  if (!must_be_new) return std::move(must_be_new).error();
  if (auto allowed = RequireRight(request, {from.account, from.container}, Right::kRead);
      !allowed) {
    return std::move(allowed).error();
  }
  if (auto checked = CheckTarget(request, to, *must_be_new); !checked) {
    return std::move(checked).error();
  }
  auto chosen = ReadNewDescription(request);
  if (!chosen) return http::ErrorResponse(chosen.error());
  auto source = request.store->OpenObject(from);
  if (!source) return StoreErrorResponse(source.error());
  const http::Headers& headers = request.head->headers;
  if (http::EvaluatePreconditions(headers, source->description.etag,
                                  source->description.timestamp.CeilSeconds()) ==
      http::Precondition::kFailed) {
    return http::TextResponse(412, "The condition of the request does not hold for the source.");
  }
  if (!headers.Has("Content-Type")) chosen->content_type = source->description.content_type;
  if (!http::IsTrue(headers.Get("X-Fresh-Metadata").value_or(std::string_view()))) {
    // What the request says wins over what the source has.
    chosen->metadata.insert(source->description.metadata.begin(),
                            source->description.metadata.end());
    chosen->headers.insert(source->description.headers.begin(), source->description.headers.end());
    if (!chosen->delete_at) chosen->delete_at = source->description.delete_at;
  }
  return std::make_unique<CopyExchange>(*request.store, *std::move(source), from, to,
                                        *std::move(chosen), *must_be_new);
}

}  // namespace

Result<DirectoryStore::NewDescription> ReadNewDescription(const SwiftRequest& request) {
  if (const auto supported = CheckSupported(request); !supported) return Fail(supported);
  const http::Headers& headers = request.head->headers;
  DirectoryStore::NewDescription description;
  auto metadata = ObjectMetadata(headers, *request.limits);
  if (!metadata) return Fail(metadata);
  description.metadata = *std::move(metadata);
  const auto delete_at = ReadDeleteAt(request);
  if (!delete_at) return Fail(delete_at);
  description.delete_at = *delete_at;
  for (const std::string_view name : kKeptHeaders) {
    if (const auto value = headers.Get(name)) description.headers[std::string(name)] = *value;
  }
  const auto type = headers.Get("Content-Type");
  const bool must_guess =
      !type || type->empty() ||
      http::IsTrue(headers.Get("X-Detect-Content-Type").value_or(std::string_view()));
  description.content_type =
      must_guess ? GuessContentType(request.path.object) : std::string(*type);
  description.headers["Content-Type"] = description.content_type;  // checked with the others
  for (const auto& [name, value] : description.headers) {
    if (value.size() > kMaxHeaderValue || !http::IsUtf8(value)) {
      return Fail(ErrorCode::kInvalid,
                  name + " is not UTF-8 of at most " + std::to_string(kMaxHeaderValue) + " bytes");
    }
  }
  description.headers.erase("Content-Type");
  return description;
}

http::Handler::Begun BeginPut(const SwiftRequest& request) {
  const http::RequestHead& head = *request.head;
  if (const auto from = head.headers.Get("X-Copy-From")) {
    if (head.content_length.value_or(0) > 0) {
      return http::TextResponse(400, "A PUT with X-Copy-From takes no body.");
    }
    const auto source = http::SplitContainerAndObject(http::PercentDecode(*from), "X-Copy-From");
    if (!source) return http::TextResponse(412, source.error().message);
    const auto account = head.headers.Get("X-Copy-From-Account");
    return Copy(request,
                {account ? http::PercentDecode(*account) : request.path.account, source->container,
                 source->object},
                request.object());
  }
  auto must_be_new = MustBeNew(request);
  if (!must_be_new) return std::move(must_be_new).error();
  if (auto checked = CheckTarget(request, request.object(), *must_be_new); !checked) {
    return std::move(checked).error();
  }
  if (!head.content_length && !head.is_chunked) {
    return http::TextResponse(
        411, "A PUT needs Content-Length or Transfer-Encoding: chunked, also for an empty body.");
  }
  const std::uint64_t announced = head.content_length.value_or(0);
  if (announced > request.store->max_object_size()) {
    return http::TextResponse(413, "The body has " + std::to_string(announced) +
                                       " bytes; max_file_size is " +
                                       std::to_string(request.store->max_object_size()) + ".");
  }
  auto description = ReadNewDescription(request);
  if (!description) return http::ErrorResponse(description.error());
  auto upload = request.store->BeginUpload();
  if (!upload) return StoreErrorResponse(upload.error());
  PutConditions conditions;
  conditions.size = head.is_chunked ? std::nullopt : head.content_length;
  conditions.etag =
      std::string(http::StripQuotes(head.headers.Get("Etag").value_or(std::string_view())));
  conditions.must_be_new = *must_be_new;
  return std::make_unique<PutExchange>(*request.store, request.object(), *std::move(description),
                                       std::move(conditions), *std::move(upload));
}

http::Handler::Begun BeginCopy(const SwiftRequest& request) {
  const http::Headers& headers = request.head->headers;
  const auto destination = headers.Get("Destination");
  if (!destination) return http::TextResponse(412, "COPY needs the field Destination.");
  const auto target =
      http::SplitContainerAndObject(http::PercentDecode(*destination), "Destination");
  if (!target) return http::TextResponse(412, target.error().message);
  const auto account = headers.Get("Destination-Account");
  return Copy(request, request.object(),
              {account ? http::PercentDecode(*account) : request.path.account, target->container,
               target->object});
}

}  // namespace zerocloud::store
