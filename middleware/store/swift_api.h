// SwiftApi: the Swift API, as clients of OpenStack Swift speak it, over a DirectoryStore. Decides
// on each request by path, method, token and access list. What is there and what is not:
// docs/store.md.
//
// Thread-safe. Begin(), Exchange::Write() and Finish() block on the local disk.
#pragma once

#include <map>
#include <string>

#include "middleware/http/message.h"
#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/metadata.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {

struct ApiOptions {
  std::string version;  // of the server, for /info
  ApiLimits limits;
  // More sections of /info: name -> JSON text.
  std::map<std::string, std::string> info_sections;
};

class SwiftApi : public http::Handler {
 public:
  // Both outlive the API and all its exchanges.
  SwiftApi(DirectoryStore& store, Authenticator& authenticator, ApiOptions options);

  Begun Begin(const http::RequestHead& head) override;

 private:
  Begun Dispatch(const http::RequestHead& head);
  [[nodiscard]] std::string InfoText() const;

  DirectoryStore* store_;
  Authenticator* authenticator_;
  ApiOptions options_;
};

}  // namespace zerocloud::store
