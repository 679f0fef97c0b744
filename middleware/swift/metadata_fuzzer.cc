// Whatever lies in an object's directory: a first line of names, of files and of swift.conf, then
// attributes. Nothing here may crash, and what is chosen must be one of the names.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/http/text.h"
#include "middleware/swift/cluster_conf.h"
#include "middleware/swift/hash_files.h"
#include "middleware/swift/object_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data)), size);
  const std::size_t end = std::min(bytes.find('\n'), bytes.size());
  std::vector<std::string> names;
  for (const std::string_view name : http::SplitTrimmed(bytes.substr(0, end), ' ')) {
    names.emplace_back(name);
  }
  const auto chosen = swift::ChooseFiles(names);
  if (chosen.has_value() && std::ranges::find(names, chosen->data) == names.end()) std::abort();
  const std::string rest(bytes.substr(end));
  const auto metadata = swift::CheckMetadata(rest, std::nullopt);
  if (metadata.has_value()) swift::WhyNotPlain(*metadata, store::Timestamp{170'000'000'000'000});
  const auto conf = swift::ParseClusterConf(bytes);
  if (conf.has_value() && conf->policies.empty()) std::abort();
  return 0;
}
