// zerocloud: the service. `zerocloud serve` runs it until SIGTERM or SIGINT; on SIGHUP it reads its
// configuration again.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "middleware/tools/service.h"
#include "middleware/tools/signals.h"

namespace {

using namespace zerocloud;

struct Arguments {
  std::string config_file, listen, store, upstream, devices, swift_dir;
  std::vector<std::string> users, settings;
  bool is_check = false, is_manual = false;
};

Result<config::Config> Configure(const Arguments& arguments) {
  config::Config config;
  if (!arguments.config_file.empty()) {
    std::ifstream file(arguments.config_file, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    if (!file) return FailErrno("cannot read " + arguments.config_file);
    if (auto applied = config::ApplyJson(config, text); !applied) return Fail(applied);
  }
  if (!arguments.listen.empty()) config.listen = arguments.listen;
  if (!arguments.store.empty()) config.store = arguments.store;
  if (!arguments.upstream.empty()) config.upstream = arguments.upstream;
  if (!arguments.devices.empty()) config.local.devices = arguments.devices;
  if (!arguments.swift_dir.empty()) config.local.swift_dir = arguments.swift_dir;
  for (const std::string& setting : arguments.settings) {
    const std::size_t equals = std::min(setting.find('='), setting.size() - 1);
    auto applied =
        config::ApplyOption(config, setting.substr(0, equals), setting.substr(equals + 1));
    if (!applied) return Fail(applied);
  }
  if (!arguments.users.empty()) config.users.clear();
  for (const std::string& text : arguments.users) {
    auto user = config::ParseUser(text);
    if (!user) return Fail(user);
    config.users.push_back(std::move(*user));
  }
  if (auto checked = config::Check(config); !checked) return Fail(checked);
  return config;
}

int Complain(const Error& error, int status) {
  std::fprintf(stderr, "zerocloud: %s\n", error.message.c_str());
  return status;
}

int Serve(const Arguments& arguments) {
  if (arguments.is_manual) return std::fputs(config::Manual().c_str(), stdout) < 0 ? 1 : 0;
  const Result<config::Config> config = Configure(arguments);
  if (!config) return Complain(config.error(), 2);
  if (arguments.is_check) return std::fputs(config::Dump(*config).c_str(), stdout) < 0 ? 1 : 0;
  if (!tools::CatchSignals()) return Complain(ErrnoError("cannot catch signals", errno), 1);
  auto service = tools::Service::Start(*config, ZEROCLOUD_VERSION);
  if (!service) return Complain(service.error(), 1);
  std::printf("%s\n", (*service)->address().c_str());
  std::fflush(stdout);
  while (tools::WaitForSignal() == tools::Signal::kReload) {
    const Result<config::Config> again = Configure(arguments);
    const Result<void> reloaded = again ? (*service)->Reload(*again) : Fail(again);
    if (!reloaded) Complain(reloaded.error(), 0);  // and goes on as before
  }
  (*service)->Stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Object storage that runs programs beside the objects.");
  app.set_version_flag("--version", "zerocloud " ZEROCLOUD_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM; prints the address.");
  serve->add_option("--config", arguments.config_file, "A JSON file; see docs/configuration.md");
  serve->add_option("--listen", arguments.listen, "ADDRESS:PORT; port 0 takes a free one");
  serve->add_option("--store", arguments.store, "Keep objects in this directory");
  serve->add_option("--upstream", arguments.upstream, "Stand in front of this Swift endpoint");
  serve->add_option("--devices", arguments.devices, "Swift's devices on this host, read in place");
  serve->add_option("--swift-dir", arguments.swift_dir, "With its swift.conf and rings");
  serve->add_option("--user", arguments.users, "account:user:key[:admin], repeatable");
  serve->add_option("--set", arguments.settings, "POINTER=VALUE, any option, repeatable");
  serve->add_flag("--check-config", arguments.is_check, "Print the configuration and exit");
  serve->add_flag("--manual", arguments.is_manual, "Print the list of options and exit");
  CLI11_PARSE(app, argc, argv);
  return Serve(arguments);
}
