// The request log: one JSON line on a descriptor for each request served. Thread-safe: a line is
// one write(2), so lines of several threads do not mix.
#pragma once

#include <string>

#include "middleware/server/server.h"

namespace zerocloud::tools {

std::string FormatRequest(const server::RequestRecord& record);

void LogRequest(int fd, const server::RequestRecord& record);

}  // namespace zerocloud::tools
