// Where the configuration of `zerocloud` comes from: files, and what stands on the command line,
// which wins.
#pragma once

#include <string>
#include <vector>

#include "channels/base/result.h"
#include "middleware/config/config.h"

namespace zerocloud::tools {

inline constexpr const char* kConfigurationFile = "/etc/zerocloud/zerocloud.conf";

struct CommandLine {
  // A file, or a directory whose files *.conf are read in the order of their names. With a file
  // "x.conf" the directory "x.conf.d" is read after it, if it is there. Empty: kConfigurationFile,
  // if it is there and neither store nor upstream is named here.
  std::string config;
  std::string listen, store, upstream, devices, swift_dir;  // empty: not given
  std::vector<std::string> users;                           // account:user:key[:admin]
  std::vector<std::string> settings;                        // SECTION.KEY=VALUE
};

// What all sources say together. Not config::Check()ed.
Result<config::Settings> ReadConfiguration(const CommandLine& line);

}  // namespace zerocloud::tools
