#include "middleware/upstream/curl_object_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "middleware/digest/digest.h"
#include "middleware/digest/hex.h"
#include "middleware/http/reply.h"
#include "middleware/http/target.h"
#include "middleware/http/text.h"
#include "middleware/upstream/container_policies.h"
#include "middleware/upstream/listing_page.h"

namespace zerocloud::upstream {
namespace {

constexpr std::string_view kMetaPrefix = "X-Object-Meta-";
constexpr std::string_view kPolicyHeader = "X-Storage-Policy";
constexpr std::size_t kMaxPageBytes = 64 << 20;

ClientRequest RequestAs(const store::Caller& caller, std::string method, std::string url) {
  ClientRequest request{
      .method = std::move(method), .url = std::move(url), .headers = {}, .on_body = {}};
  if (!caller.token.empty()) request.headers.Add("X-Auth-Token", caller.token);
  if (!caller.trace.empty()) request.headers.Add("X-Trans-Id-Extra", caller.trace);
  return request;
}

// What a status that is no success means to the author of a job.
Error StatusError(int status, const std::string& what) {
  const std::string told =
      fmt::format("{}: the upstream answered {} {}", what, status, http::ReasonPhrase(status));
  switch (status) {
    case 401:
    case 403:
      return {ErrorCode::kForbidden, "you have no right to " + what};
    case 404:
      return {ErrorCode::kNotFound, "there is no " + what};
    case 408:
      return {ErrorCode::kTimeout, told};
    case 409:
      return {ErrorCode::kConflict, told};
    case 413:
      return {ErrorCode::kLimitExceeded, told};
    case 400:
    case 411:
    case 412:
      return {ErrorCode::kInvalid, told};
    default:
      break;
  }
  return {status >= 500 || status == 429 || status == 498 ? ErrorCode::kUnavailable
                                                          : ErrorCode::kInternal,
          told};
}

std::unexpected<Error> FailTooLarge(const store::ObjectPath& path, std::uint64_t size,
                                    std::uint64_t limit) {
  return Fail(ErrorCode::kLimitExceeded,
              fmt::format("object {} has bytes: {}; the limit storage.object_bytes is {}",
                          path.ToString(), size, limit));
}

std::uint64_t SizeOf(const http::Headers& headers) {
  return http::ParseNumber(headers.Get("Content-Length").value_or("")).value_or(0);
}

std::string Unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

// Segmented objects have an ETag of their segments' ETags.
bool IsSegmented(const http::Headers& headers) {
  return headers.Has("X-Static-Large-Object") || headers.Has("X-Object-Manifest");
}

store::ObjectInfo InfoOf(const http::Headers& headers) {
  store::ObjectInfo info;
  info.size = SizeOf(headers);
  info.etag = Unquoted(headers.Get("ETag").value_or(""));
  info.content_type = headers.Get("Content-Type").value_or("application/octet-stream");
  info.last_modified = headers.Get("X-Timestamp").value_or("");
  for (const auto& [name, value] : headers) {
    if (!http::StartsWithIgnoringCase(name, kMetaPrefix)) continue;
    info.metadata.emplace(name.substr(kMetaPrefix.size()), value);
  }
  return info;
}

// Just these bytes of just that version.
Result<void> FetchRange(HttpClient& client, ClientRequest request, const std::string& what,
                        const store::ObjectInfo& info, std::uint64_t offset, std::uint64_t size,
                        const RangeServer::Take& take) {
  request.headers.Add("Range", fmt::format("bytes={}-{}", offset, offset + size - 1));
  request.headers.Add("If-Match", fmt::format("\"{}\"", info.etag));
  request.on_body = take;
  const Result<ClientReply> reply = client.Send(request);
  if (!reply.has_value()) return Fail(reply);
  if (reply->status == 412 || reply->status == 416 ||
      (reply->status / 100 == 2 &&
       Unquoted(reply->headers.Get("ETag").value_or("")) != info.etag)) {
    return Fail(ErrorCode::kConflict, what + " was replaced while the session read it");
  }
  if (reply->status / 100 != 2) return std::unexpected(StatusError(reply->status, what));
  const std::string range = fmt::format("bytes {}-{}/{}", offset, offset + size - 1, info.size);
  if (reply->status != 206 || reply->headers.Get("Content-Range").value_or("") != range) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("{}: the upstream did not answer {} with that range", what, range));
  }
  return {};
}

Result<void> WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("cannot write a download to the spool");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

std::string RandomName() {
  std::array<unsigned char, 16> bytes{};
  [[maybe_unused]] const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
  return ".zerocloud-write-check-" + digest::ToHex(std::as_bytes(std::span(bytes)));
}

}  // namespace

Result<std::string> AskEndpoints(HttpClient& client, const std::string& url,
                                 const store::Caller& caller, const store::ObjectPath& path) {
  constexpr std::size_t kMostBytes = 1 << 20;
  std::string text;
  ClientRequest request = RequestAs(
      caller, "GET",
      url + "/endpoints/v2/" + http::PercentEncode(path.account, false) + "/" +
          http::PercentEncode(path.container, false) + "/" + http::PercentEncode(path.object));
  request.on_body = KeepBody(
      text, kMostBytes,
      {ErrorCode::kLimitExceeded, "the upstream's answer about its place has more than 1 MiB"});
  const Result<ClientReply> reply = client.Send(request);
  if (!reply.has_value()) return Fail(reply);
  if (reply->status != 200) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("the upstream does not tell its place: list_endpoints answered {}",
                            reply->status));
  }
  return text;
}

std::optional<std::string> AskPolicy(HttpClient& client, const std::string& url,
                                     const store::Caller& caller, const std::string& account,
                                     const std::string& container) {
  const Result<ClientReply> reply =
      client.Send(RequestAs(caller, "HEAD",
                            url + "/v1/" + http::PercentEncode(account, false) + "/" +
                                http::PercentEncode(container, false)));
  if (!reply.has_value() || reply->status / 100 != 2) return std::nullopt;
  const auto policy = reply->headers.Get(kPolicyHeader);
  if (!policy.has_value() || policy->empty()) return std::nullopt;
  return std::string(*policy);
}

CurlObjectStore::CurlObjectStore(HttpClient& client, CurlStoreOptions options)
    : client_(client), options_(std::move(options)), ranges_(options_.spool_directory) {}

std::string CurlObjectStore::UrlOf(const store::ObjectPath& path) const {
  std::string url = options_.url + "/v1/" + http::PercentEncode(path.account, false);
  if (!path.container.empty()) url += "/" + http::PercentEncode(path.container, false);
  if (!path.object.empty()) url += "/" + http::PercentEncode(path.object);
  return url;
}

Result<store::ObjectInfo> CurlObjectStore::Head(const store::Caller& caller,
                                                const store::ObjectPath& path) {
  const Result<ClientReply> reply = client_.Send(RequestAs(caller, "HEAD", UrlOf(path)));
  if (!reply.has_value()) return Fail(reply);
  if (reply->status / 100 != 2) {
    return std::unexpected(StatusError(reply->status, "object " + path.ToString()));
  }
  return InfoOf(reply->headers);
}

Result<store::OpenedObject> CurlObjectStore::Open(const store::Caller& caller,
                                                  const store::ObjectPath& path) {
  return Fetch(caller, path, {});
}

Result<store::OpenedObject> CurlObjectStore::Fetch(const store::Caller& caller,
                                                   const store::ObjectPath& path,
                                                   const store::MayFetch& may_fetch) {
  store::OpenedObject opened;
  opened.file.Reset(::open(options_.spool_directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!opened.file.is_open()) {
    return FailErrno("cannot make a file in the spool directory " + options_.spool_directory);
  }
  const auto check = [&](std::uint64_t bytes) -> Result<void> {
    if (bytes > options_.object_bytes) return FailTooLarge(path, bytes, options_.object_bytes);
    return may_fetch ? may_fetch(bytes) : Result<void>();
  };
  std::uint64_t told = 0;
  std::uint64_t size = 0;
  digest::Md5 md5;
  ClientRequest request = RequestAs(caller, "GET", UrlOf(path));
  // Before the body: what is too much is not sent at all.
  request.on_head = [&](const http::Headers& headers) -> Result<void> {
    told = SizeOf(headers);
    return check(told);
  };
  request.on_body = [&](std::span<const std::byte> bytes) -> Result<void> {
    size += bytes.size();
    if (Result<void> fits = check(std::max(size, told)); !fits.has_value()) return fits;
    md5.Add(bytes);
    return WriteAll(opened.file.get(), bytes);
  };
  const Result<ClientReply> reply = client_.Send(request);
  if (!reply.has_value()) return Fail(reply);
  if (reply->status != 200) {
    return std::unexpected(StatusError(reply->status, "object " + path.ToString()));
  }
  opened.info = InfoOf(reply->headers);
  opened.info.size = size;
  const std::string digest = md5.Hex();
  if (!IsSegmented(reply->headers) && opened.info.etag.size() == digest.size() &&
      !http::EqualsIgnoringCase(opened.info.etag, digest)) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("object {} arrived damaged: its MD5 is {}, its ETag {}",
                            path.ToString(), digest, opened.info.etag));
  }
  opened.is_immutable = true;  // has no name, and this was its only writer
  return opened;
}

Result<store::OpenedObject> CurlObjectStore::OpenInput(const store::Caller& caller,
                                                       const store::ObjectPath& path,
                                                       const store::InputHints& hints) {
  if (!hints.is_random) return Fetch(caller, path, hints.may_fetch);
  Result<store::ObjectInfo> info = Head(caller, path);
  if (!info.has_value()) return Fail(info);
  if (info->size < options_.asked_from_bytes || info->etag.empty()) {
    return Fetch(caller, path, hints.may_fetch);
  }
  if (info->size > options_.object_bytes) {
    return FailTooLarge(path, info->size, options_.object_bytes);
  }
  const auto fetch = [&client = client_, caller, url = UrlOf(path), info = *info,
                      what = "object " + path.ToString()](std::uint64_t offset, std::uint64_t size,
                                                          const RangeServer::Take& take) {
    return FetchRange(client, RequestAs(caller, "GET", url), what, info, offset, size, take);
  };
  store::OpenedObject opened;
  opened.late_failure = std::make_shared<store::LateFailure>();
  Result<UniqueFd> socket = ranges_.Serve(info->size, fetch, opened.late_failure);
  if (!socket.has_value()) return Fail(socket);
  opened.file = std::move(*socket);
  opened.info = std::move(*info);
  return opened;
}

Result<std::vector<store::ListedObject>> CurlObjectStore::List(
    const store::Caller& caller, const std::string& url, const std::string& what,
    const std::string& prefix, std::size_t limit, std::string* policy) {
  std::vector<store::ListedObject> listed;
  for (;;) {
    std::string text;
    const auto now = std::chrono::steady_clock::now();
    std::string page_url = url + "?format=json&prefix=" + http::PercentEncode(prefix, false);
    if (!listed.empty()) page_url += "&marker=" + http::PercentEncode(listed.back().name, false);
    ClientRequest request = RequestAs(caller, "GET", std::move(page_url));
    request.on_body = [&](std::span<const std::byte> bytes) -> Result<void> {
      if (bytes.size() > kMaxPageBytes - text.size()) {
        return Fail(ErrorCode::kUnavailable, "a page of the listing of " + what + " is too long");
      }
      const void* start = bytes.data();
      text.append(static_cast<const char*>(start), bytes.size());
      return {};
    };
    const Result<ClientReply> reply = client_.Send(request);
    if (!reply.has_value()) return Fail(reply);
    if (policy != nullptr && reply->status / 100 == 2) {
      *policy = reply->headers.Get(kPolicyHeader).value_or("");
    }
    if (reply->status == 204) return listed;
    if (reply->status != 200) return std::unexpected(StatusError(reply->status, what));
    Result<std::vector<store::ListedObject>> page =
        ParseListingPage(text, limit - listed.size() + 1);
    if (!page.has_value()) return page;
    // The endpoint's page size is its own affair: only an empty page is the end.
    if (page->empty()) return listed;
    if (!listed.empty() && page->front().name <= listed.back().name) {
      return Fail(ErrorCode::kUnavailable, "the listing of " + what + " does not go forward");
    }
    for (store::ListedObject& object : *page) {
      object.listed = now;
      listed.push_back(std::move(object));
    }
    if (listed.size() > limit) {
      return Fail(ErrorCode::kLimitExceeded,
                  fmt::format("the listing of {} has more than {} names", what, limit));
    }
  }
}

Result<std::vector<std::string>> CurlObjectStore::ListContainers(const store::Caller& caller,
                                                                 const std::string& account,
                                                                 const std::string& prefix,
                                                                 std::size_t limit) {
  auto listed = List(caller, UrlOf({account, {}, {}}), "account " + account, prefix, limit);
  if (!listed.has_value()) return Fail(listed);
  std::vector<std::string> names;
  for (store::ListedObject& container : *listed) names.push_back(std::move(container.name));
  return names;
}

Result<std::vector<store::ListedObject>> CurlObjectStore::ListObjects(const store::Caller& caller,
                                                                      const std::string& account,
                                                                      const std::string& container,
                                                                      const std::string& prefix,
                                                                      std::size_t limit) {
  std::string policy;
  auto listed = List(caller, UrlOf({account, container, {}}),
                     fmt::format("container /{}/{}", account, container), prefix, limit, &policy);
  if (options_.on_policy && !policy.empty()) {
    options_.on_policy(account, container, std::move(policy));
  }
  return listed;
}

Result<void> CurlObjectStore::CheckWritable(const store::Caller& caller,
                                            const store::ObjectPath& path) {
  const std::string container = fmt::format("container /{}/{}", path.account, path.container);
  const std::string url = UrlOf({path.account, path.container, RandomName()});
  ClientRequest request = RequestAs(caller, "PUT", url);
  request.headers.Add("Content-Length", "0");
  request.headers.Add("ETag", "00000000000000000000000000000000");
  const Result<ClientReply> reply = client_.Send(request);
  if (!reply.has_value()) return Fail(reply);
  if (reply->status == 422) return {};
  if (reply->status / 100 == 2) {
    // An endpoint that does not compare ETags: it is writable, and holds our name now.
    const Result<ClientReply> removed = client_.Send(RequestAs(caller, "DELETE", url));
    return removed.has_value() ? Result<void>() : Fail(removed);
  }
  return std::unexpected(StatusError(reply->status, container));
}

Result<store::ObjectInfo> CurlObjectStore::Put(const store::Caller& caller,
                                               const store::NewObject& object, int file,
                                               std::uint64_t size) {
  const Result<std::string> digest = digest::Md5OfFile(file, size);
  if (!digest.has_value()) return Fail(digest);
  ClientRequest request = RequestAs(caller, "PUT", UrlOf(object.path));
  request.headers.Add("ETag", *digest);
  request.headers.Add("Content-Type", object.content_type.empty() ? "application/octet-stream"
                                                                  : object.content_type);
  for (const auto& [name, value] : object.metadata) {
    request.headers.Add(std::string(kMetaPrefix) + name, value);
  }
  request.upload_file = file;
  request.upload_size = size;
  const Result<ClientReply> reply = client_.Send(request);
  if (!reply.has_value()) return Fail(reply);
  if (reply->status == 422) {
    return Fail(ErrorCode::kUnavailable,
                "object " + object.path.ToString() + " arrived damaged at the upstream");
  }
  if (reply->status / 100 != 2) {
    return std::unexpected(StatusError(reply->status, "object " + object.path.ToString()));
  }
  store::ObjectInfo info;
  info.size = size;
  info.etag = *digest;
  info.content_type = object.content_type;
  info.metadata = object.metadata;
  return info;
}

std::expected<store::Caller, http::Response> CurlAuthorizer::AuthorizeJob(
    const http::RequestHead& head, const std::string& account) {
  store::Caller caller{
      .account = account, .user = {}, .token = {}, .trace = store::JobTrace(head.trans_id)};
  auto token = head.headers.Get("X-Auth-Token");
  if (!token.has_value()) token = head.headers.Get("X-Storage-Token");
  caller.token = token.value_or("");
  const std::string url = url_ + "/v1/" + http::PercentEncode(account, false);
  const Result<ClientReply> reply = client_.Send(RequestAs(caller, "HEAD", url));
  if (!reply.has_value()) {
    const int status = reply.error().code == ErrorCode::kTimeout ? 504 : 502;
    return std::unexpected(http::TextResponse(status, reply.error().message));
  }
  if (reply->status / 100 == 2) return caller;
  http::Response refusal = http::TextResponse(
      reply->status, fmt::format("The upstream does not let you into account {}: {} {}.", account,
                                 reply->status, http::ReasonPhrase(reply->status)));
  const auto challenge = reply->headers.Get("WWW-Authenticate");
  if (challenge.has_value()) refusal.headers.Add("Www-Authenticate", *challenge);
  return std::unexpected(std::move(refusal));
}

}  // namespace zerocloud::upstream
