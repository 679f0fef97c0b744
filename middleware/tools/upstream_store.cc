#include "middleware/tools/upstream_store.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "middleware/http/text.h"
#include "middleware/upstream/curl_object_store.h"
#include "middleware/upstream/upstream_handler.h"

namespace zerocloud::tools {

void Complain(const std::string& sentence) { fmt::print(stderr, "zerocloud: {}\n", sentence); }

Result<upstream::ClientOptions> ClientOptionsOf(const config::Config& config) {
  using std::chrono::seconds;
  const config::ProxySection& section = config.proxy;
  const auto urls = upstream::ParseUpstreamUrls(config.upstream);
  if (!urls.has_value()) return Fail(urls);
  upstream::ClientOptions options{.connect_timeout = seconds(section.connect_timeout_seconds),
                                  .stall_timeout = seconds(section.response_timeout_seconds),
                                  .requests_at_once = section.requests_at_once,
                                  .tls_authorities = section.tls_authorities};
  for (const upstream::UpstreamUrl& url : *urls) options.origins.push_back(url.origin);
  return options;
}

Result<std::unique_ptr<upstream::HttpClient>> StartClient(const config::Config& config) {
  Result<upstream::ClientOptions> options = ClientOptionsOf(config);
  if (!options.has_value()) return Fail(options);
  return upstream::HttpClient::Start(std::move(*options));
}

Result<UpstreamStore> OpenUpstream(const config::Config& config, upstream::HttpClient& client,
                                   upstream::ContainerPolicies* policies) {
  UpstreamStore store;
  upstream::CurlStoreOptions by_http{.url = "",
                                     .spool_directory = config.engine.spool_directory,
                                     .object_bytes = config.storage.object_bytes,
                                     .asked_from_bytes = config.proxy.asked_from_bytes};
  if (policies != nullptr) {
    by_http.on_policy = [policies](const std::string& account, const std::string& container,
                                   std::string policy) {
      policies->Learn(account, container, std::move(policy));
    };
  }
  store.remote = std::make_unique<upstream::CurlObjectStore>(client, std::move(by_http));
  if (config.local.devices.empty()) return store;
  swift::LocalOptions options;
  options.devices_directory = config.local.devices;
  options.swift_directory = config.local.swift_dir;
  for (const std::string_view address : http::SplitTrimmed(config.local.addresses, ',')) {
    options.addresses.emplace_back(address);
  }
  if (config.local.endpoints) {
    options.ask_endpoints = [&client](const store::Caller& caller, const store::ObjectPath& path) {
      return upstream::AskEndpoints(client, "", caller, path);
    };
  }
  options.complain = Complain;
  auto opened = swift::LocalObjects::Open(std::move(options));
  if (!opened.has_value()) return Fail(opened);
  store.devices = std::move(*opened);
  store.local = std::make_unique<swift::LocalObjectStore>(
      *store.remote, *store.devices, std::chrono::seconds(config.local.listing_seconds));
  return store;
}

}  // namespace zerocloud::tools
