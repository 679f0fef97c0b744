// zerocloud: the service. `zerocloud serve` runs it until SIGTERM or SIGINT; on SIGHUP it reads its
// configuration again.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "middleware/doctor/doctor.h"
#include "middleware/tools/configuration.h"
#include "middleware/tools/node_service.h"
#include "middleware/tools/notify.h"
#include "middleware/tools/service.h"
#include "middleware/tools/signals.h"

namespace {

using namespace zerocloud;

struct Arguments {
  tools::CommandLine line;
  bool is_check = false, is_manual = false, is_sample = false, is_json = false;
};

int Complain(const Error& error, int status) {
  std::fprintf(stderr, "zerocloud: %s\n", error.message.c_str());
  return status;
}

Result<config::Settings> Configure(const Arguments& arguments) {
  auto settings = tools::ReadConfiguration(arguments.line);
  if (!settings) return settings;
  for (const std::string& warning : settings->warnings) {
    std::fprintf(stderr, "zerocloud: warning: %s\n", warning.c_str());
  }
  if (auto checked = config::Check(settings->config); !checked) return Fail(checked);
  return settings;
}

int Print(const std::string& text) { return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0; }

// To who started it, that it serves, and where.
template <typename Service>
void Announce(const Service& service) {
  std::printf("%s\n", service.address().c_str());
  if (const std::string url = service.metrics_url(); !url.empty()) {
    std::fprintf(stderr, "zerocloud: metrics are at %s\n", url.c_str());
  }
  std::fflush(stdout);
  tools::Notify("READY=1");
}

int Serve(const Arguments& arguments) {
  if (arguments.is_manual) return Print(config::Manual());
  if (arguments.is_sample) return Print(config::Sample());
  const Result<config::Settings> settings = Configure(arguments);
  if (!settings) return Complain(settings.error(), 2);
  if (arguments.is_check) return Print(config::Dump(*settings));
  if (!tools::CatchSignals()) return Complain(ErrnoError("cannot catch signals", errno), 1);
  auto service = tools::Service::Start(settings->config, ZEROCLOUD_VERSION);
  if (!service) return Complain(service.error(), 1);
  Announce(**service);
  while (tools::WaitForSignal() == tools::Signal::kReload) {
    const Result<config::Settings> again = Configure(arguments);
    const Result<void> reloaded = again ? (*service)->Reload(again->config) : Fail(again);
    if (!reloaded) Complain(reloaded.error(), 0);  // and goes on as before
  }
  tools::Notify("STOPPING=1");
  (*service)->Stop();
  return 0;
}

// 0: nothing is wrong; 1: something is.
int Examine(const Arguments& arguments) {
  const Result<config::Settings> settings = tools::ReadConfiguration(arguments.line);
  const Result<void> checked = settings ? config::Check(settings->config) : Fail(settings);
  const auto findings =
      checked ? doctor::Examine(*settings) : doctor::ConfigurationIsWrong(checked.error().message);
  const int printed =
      Print(arguments.is_json ? doctor::ToJson(findings) : doctor::ToText(findings));
  return doctor::IsWell(findings) ? printed : 1;
}

void AddConfiguration(CLI::App& command, tools::CommandLine& line) {
  command.add_option("--config", line.config,
                     "An ini file or a directory of them; see docs/configuration.md");
  command.add_option("--listen", line.listen, "ADDRESS:PORT; port 0 takes a free one");
  command.add_option("--store", line.store, "Keep objects in this directory");
  command.add_option("--upstream", line.upstream, "Stand in front of this Swift endpoint");
  command.add_option("--devices", line.devices, "Swift's devices on this host, read in place");
  command.add_option("--swift-dir", line.swift_dir, "With its swift.conf and rings");
  command.add_option("--user", line.users, "account:user:key[:admin], repeatable");
  command.add_option("--set", line.settings, "SECTION.KEY=VALUE, any option, repeatable");
}

// `--listen` is then where proxies connect.
int RunNode(Arguments arguments) {
  if (!arguments.line.listen.empty()) {
    arguments.line.settings.push_back("node.listen=" + arguments.line.listen);
    arguments.line.listen.clear();
  }
  const Result<config::Settings> settings = Configure(arguments);
  if (!settings) return Complain(settings.error(), 2);
  tools::TellUnused(*settings);
  if (arguments.is_check) return Print(config::Dump(*settings));
  if (!tools::CatchSignals()) return Complain(ErrnoError("cannot catch signals", errno), 1);
  auto service = tools::NodeService::Start(settings->config, ZEROCLOUD_VERSION);
  if (!service) return Complain(service.error(), 1);
  Announce(**service);
  while (tools::WaitForSignal() == tools::Signal::kReload) {
    const Result<config::Settings> again = Configure(arguments);
    if (!again) {
      Complain(again.error(), 0);
    } else {
      (*service)->Compare(again->config);
    }
  }
  tools::Notify("STOPPING=1");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Object storage that runs programs beside the objects.");
  app.set_version_flag("--version", "zerocloud " ZEROCLOUD_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM; prints the address.");
  AddConfiguration(*serve, arguments.line);
  serve->add_flag("--check-config", arguments.is_check, "Print the configuration and exit");
  serve->add_flag("--manual", arguments.is_manual, "Print the list of options and exit");
  serve->add_flag("--sample", arguments.is_sample, "Print a sample configuration and exit");
  CLI::App* examine =
      app.add_subcommand("doctor", "Check an installation, and say what is wrong with it.");
  AddConfiguration(*examine, arguments.line);
  examine->add_flag("--json", arguments.is_json, "Say it as JSON");
  CLI::App* node = app.add_subcommand("node", "Run sessions for proxies until SIGTERM.");
  AddConfiguration(*node, arguments.line);
  node->add_flag("--check-config", arguments.is_check, "Print the configuration and exit");
  CLI11_PARSE(app, argc, argv);
  if (node->parsed()) return RunNode(std::move(arguments));
  return examine->parsed() ? Examine(arguments) : Serve(arguments);
}
