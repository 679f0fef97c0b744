#include "middleware/node/file_limit.h"

#include <sys/resource.h>

namespace zerocloud::node {

std::size_t RaiseFileLimit() {
  constexpr rlim_t kWanted = 1 << 20;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
  if (files.rlim_max < kWanted) {
    const rlimit wanted{kWanted, kWanted};
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return kWanted;
  }
  const rlimit most{files.rlim_max, files.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &most) == 0 ? most.rlim_max : files.rlim_cur;
}

}  // namespace zerocloud::node
