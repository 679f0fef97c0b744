#include "middleware/store/swift_api.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <utility>

#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/store/naming.h"

namespace zerocloud::store {
namespace {

// Puts the ids on an exchange's answer, as Begin() does on answers at once.
class WithTransId : public http::Exchange {
 public:
  WithTransId(std::unique_ptr<http::Exchange> inner, std::string trans_id)
      : inner_(std::move(inner)), trans_id_(std::move(trans_id)) {}

  Result<void> Write(std::span<const std::byte> chunk) override { return inner_->Write(chunk); }
  void Finish(std::function<void(http::Response)> done) override {
    inner_->Finish([done = std::move(done), id = trans_id_](http::Response response) {
      http::SetTransId(response, id);
      done(std::move(response));
    });
  }

 private:
  std::unique_ptr<http::Exchange> inner_;
  std::string trans_id_;
};

}  // namespace

// ---- what the parts share

std::expected<void, http::Response> RequireOwner(const SwiftRequest& request) {
  if (request.is_owner()) return {};
  if (request.identity.is_anonymous()) return std::unexpected(Unauthorized(request.path.account));
  return std::unexpected(http::TextResponse(
      403,
      "User " + request.identity.name + " does not own account " + request.path.account + "."));
}

std::expected<void, http::Response> RequireRight(const SwiftRequest& request,
                                                 const ContainerKey& key, Right right) {
  const auto allowed = Allows(*request.store, request.identity, key, right, request.referer());
  if (!allowed) return std::unexpected(StoreErrorResponse(allowed.error()));
  if (*allowed) return {};
  if (request.identity.is_anonymous()) return std::unexpected(Unauthorized(key.account));
  return std::unexpected(http::TextResponse(403, "The access lists of this container give user " +
                                                     request.identity.name +
                                                     " no right to do that."));
}

http::Response StoreErrorResponse(const Error& error) {
  if (IsDiskFull(error)) return http::TextResponse(507, error.message);
  return http::ErrorResponse(error);
}

http::Response MethodNotAllowed(std::string_view allowed) {
  http::Response response =
      http::TextResponse(405, "This resource allows " + std::string(allowed) + ".");
  response.headers.Set("Allow", allowed);
  return response;
}

http::Response Empty(int status) {
  http::Response response;
  response.status = status;
  return response;
}

// ---- dispatch

SwiftApi::SwiftApi(DirectoryStore& store, Authenticator& authenticator, ApiOptions options)
    : store_(&store), authenticator_(&authenticator), options_(std::move(options)) {}

http::Handler::Begun SwiftApi::Begin(const http::RequestHead& head) {
  Begun begun = Dispatch(head);
  if (auto* response = std::get_if<http::Response>(&begun)) {
    http::SetTransId(*response, head.trans_id);
    return begun;
  }
  auto& exchange = std::get<std::unique_ptr<http::Exchange>>(begun);
  return std::make_unique<WithTransId>(std::move(exchange), head.trans_id);
}

http::Handler::Begun SwiftApi::Dispatch(const http::RequestHead& head) {
  http::Target target = http::ParseTarget(head.target);
  const bool is_get = head.method == "GET" || head.method == "HEAD";
  if (target.path == "/healthcheck") {
    if (!is_get) return MethodNotAllowed("GET, HEAD");
    http::Response response = Empty(200);
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
    response.text = "OK";
    return response;
  }
  if (target.path == "/info") {
    if (!is_get) return MethodNotAllowed("GET, HEAD");
    http::Response response = Empty(200);
    response.headers.Set("Content-Type", "application/json; charset=utf-8");
    response.text = InfoText();
    return response;
  }
  if (target.path == "/auth/v1.0" || target.path == "/auth/v1" || target.path == "/auth/v1.0/" ||
      target.path == "/auth/v1/") {
    if (!is_get) return MethodNotAllowed("GET, HEAD");
    return authenticator_->GiveToken(head);
  }

  auto path = http::ParseStoragePath(target.path);
  if (!path) {
    return http::TextResponse(
        404, "There is nothing here; storage is under /v1/ACCOUNT, tokens come from /auth/v1.0.");
  }
  if (!*path) return http::TextResponse(412, path->error().message);
  SwiftRequest request{store_, &options_.limits, &head, std::move(target.query), **std::move(path),
                       {}};
  const std::string_view methods = request.path.container.empty() ? "GET, HEAD, POST, OPTIONS"
                                   : request.path.object.empty()
                                       ? "GET, HEAD, PUT, POST, DELETE, OPTIONS"
                                       : "GET, HEAD, PUT, POST, DELETE, COPY, OPTIONS";
  if (request.is("OPTIONS")) return HandleOptions(request, methods);

  auto identity = authenticator_->Identify(head.headers);
  if (!identity) return Unauthorized(request.path.account);
  request.identity = *std::move(identity);

  for (const auto& checked :
       {CheckAccountName(request.path.account),
        request.path.container.empty() ? Result<void>()
                                       : CheckContainerName(request.path.container),
        request.path.object.empty() ? Result<void>() : CheckObjectName(request.path.object)}) {
    if (!checked) return http::ErrorResponse(checked.error());
  }

  Begun begun = request.path.container.empty() ? Begun(HandleAccount(request))
                : request.path.object.empty()  ? Begun(HandleContainer(request))
                                               : HandleObject(request);
  if (auto* response = std::get_if<http::Response>(&begun)) AddCorsFields(request, *response);
  return begun;
}

std::string SwiftApi::InfoText() const {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  const auto number = [&](const char* key, std::uint64_t value) {
    writer.Key(key);
    writer.Uint64(value);
  };
  const ApiLimits& limits = options_.limits;
  writer.StartObject();
  writer.Key("swift");
  writer.StartObject();
  writer.Key("version");
  writer.String(options_.version.c_str());
  number("max_file_size", store_->max_object_size());
  number("max_meta_name_length", limits.max_meta_name_length);
  number("max_meta_value_length", limits.max_meta_value_length);
  number("max_meta_count", limits.max_meta_count);
  number("max_meta_overall_size", limits.max_meta_overall_size);
  number("max_object_name_length", kMaxObjectName);
  number("max_container_name_length", kMaxContainerName);
  number("max_account_name_length", kMaxAccountName);
  number("account_listing_limit", limits.listing_limit);
  number("container_listing_limit", limits.listing_limit);
  writer.Key("allow_account_management");
  writer.Bool(false);
  writer.Key("account_autocreate");
  writer.Bool(true);
  writer.Key("strict_cors_mode");
  writer.Bool(true);
  writer.Key("policies");
  writer.StartArray();
  writer.StartObject();
  writer.Key("name");
  writer.String("Policy-0");
  writer.Key("aliases");
  writer.String("Policy-0");
  writer.Key("default");
  writer.Bool(true);
  writer.EndObject();
  writer.EndArray();
  writer.EndObject();
  writer.Key("tempauth");
  writer.StartObject();
  writer.Key("account_acls");
  writer.Bool(false);
  writer.EndObject();
  for (const auto& [name, json] : options_.info_sections) {
    writer.Key(name.c_str());
    writer.RawValue(json.data(), json.size(), rapidjson::kObjectType);
  }
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace zerocloud::store
