// Any bytes as a name and as a path: a name that passes its check comes back from its path, and a
// path that decodes is the very path of its name.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/store/acl.h"
#include "middleware/store/naming.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (CheckObjectName(text) && DecodeObject(EncodeObject(text)) != text) std::abort();
  if (CheckContainerName(text) && DecodeFolder(EncodeFolder(text)) != text) std::abort();
  if (const auto name = DecodeObject(text); name && EncodeObject(*name) != text) std::abort();
  if (const auto name = DecodeFolder(text); name && EncodeFolder(*name) != text) std::abort();
  // A canonical access list is its own canonical form.
  if (const auto acl = NormalizeAcl(text, false);
      acl && NormalizeAcl(*acl, false).value_or("") != *acl) {
    std::abort();
  }
  static_cast<void>(Acl::Parse(text).AllowsReferrer(text));
  return 0;
}
