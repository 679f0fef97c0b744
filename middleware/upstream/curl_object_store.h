// CurlObjectStore: the objects of a Swift endpoint as jobs see them, over HTTP, every request with
// the caller's own token. CurlAuthorizer: whether a caller may run jobs in an account, asked of the
// endpoint itself.
//
// Both are thread-safe and block; they belong on worker threads.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "middleware/http/message.h"
#include "middleware/store/authorizer.h"
#include "middleware/store/object_store.h"
#include "middleware/upstream/http_client.h"
#include "middleware/upstream/range_server.h"

namespace zerocloud::upstream {

struct CurlStoreOptions {
  std::string url;              // of the endpoint: "http://host:port"; empty: the client's
  std::string spool_directory;  // downloads are unnamed files there
  std::uint64_t object_bytes = 5ULL << 30U;  // a larger object is not read
  // From this size on, an input that is read at random is fetched as it is read.
  std::uint64_t asked_from_bytes = 4ULL << 20U;
  // Told the storage policy of each container that is listed, where Swift says it. Thread-safe.
  std::function<void(const std::string& account, const std::string& container, std::string policy)>
      on_policy = {};
};

class CurlObjectStore : public store::ObjectStore {
 public:
  // `client` outlives it.
  CurlObjectStore(HttpClient& client, CurlStoreOptions options);

  Result<store::ObjectInfo> Head(const store::Caller& caller,
                                 const store::ObjectPath& path) override;
  // The bytes are checked against the ETag where it is their MD5 (not for segmented objects).
  Result<store::OpenedObject> Open(const store::Caller& caller,
                                   const store::ObjectPath& path) override;
  // A large input that is read at random is not downloaded: what a session reads of it is fetched
  // by ranges, all of the one version that is there now.
  Result<store::OpenedObject> OpenInput(const store::Caller& caller, const store::ObjectPath& path,
                                        const store::InputHints& hints) override;
  Result<std::vector<std::string>> ListContainers(const store::Caller& caller,
                                                  const std::string& account,
                                                  const std::string& prefix,
                                                  std::size_t limit) override;
  Result<std::vector<store::ListedObject>> ListObjects(const store::Caller& caller,
                                                       const std::string& account,
                                                       const std::string& container,
                                                       const std::string& prefix,
                                                       std::size_t limit) override;
  // Asks by an upload that must fail: to a name nobody has, with an ETag that does not fit.
  Result<void> CheckWritable(const store::Caller& caller, const store::ObjectPath& path) override;
  // Sends the MD5 along, so that what arrives damaged is refused.
  Result<store::ObjectInfo> Put(const store::Caller& caller, const store::NewObject& object,
                                int file, std::uint64_t size) override;

 private:
  [[nodiscard]] std::string UrlOf(const store::ObjectPath& path) const;
  Result<store::OpenedObject> Fetch(const store::Caller& caller, const store::ObjectPath& path,
                                    const store::MayFetch& may_fetch);
  Result<std::vector<store::ListedObject>> List(const store::Caller& caller, const std::string& url,
                                                const std::string& what, const std::string& prefix,
                                                std::size_t limit, std::string* policy = nullptr);

  HttpClient& client_;
  const CurlStoreOptions options_;
  RangeServer ranges_;
};

// What list_endpoints of the upstream says about an object, asked as the caller: at most 1 MiB of
// JSON (swift::ParseEndpoints). Errors are phrases about "it". `url` as above.
Result<std::string> AskEndpoints(HttpClient& client, const std::string& url,
                                 const store::Caller& caller, const store::ObjectPath& path);

class CurlAuthorizer : public store::Authorizer {
 public:
  // `url` as above. `client` outlives it.
  CurlAuthorizer(HttpClient& client, std::string url) : client_(client), url_(std::move(url)) {}

  // HEAD on the account with the caller's token: who may read an account as a whole may run jobs in
  // it. A refusal has the endpoint's status.
  std::expected<store::Caller, http::Response> AuthorizeJob(const http::RequestHead& head,
                                                            const std::string& account) override;

 private:
  HttpClient& client_;
  const std::string url_;
};

}  // namespace zerocloud::upstream
