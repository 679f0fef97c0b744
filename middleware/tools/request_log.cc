#include "middleware/tools/request_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

namespace zerocloud::tools {
namespace {

// Targets and methods are a stranger's bytes, UTF-8 or not: everything but plain ASCII is escaped.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte > 0x7e) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace

std::string FormatRequest(const server::RequestRecord& record) {
  return fmt::format(
      "{{\"time\": {}, \"request\": {}, \"method\": {}, \"target\": {}, \"remote\": {}, "
      "\"status\": {}, \"bytes_in\": {}, \"bytes_out\": {}, \"us\": {}}}\n",
      std::time(nullptr), Quoted(record.trans_id), Quoted(record.method), Quoted(record.target),
      Quoted(record.remote_address), record.status, record.bytes_in, record.bytes_out,
      record.duration.count());
}

void LogRequest(int fd, const server::RequestRecord& record) {
  const std::string line = FormatRequest(record);
  // A log that cannot be written must not stop the service.
  [[maybe_unused]] const ssize_t count = ::write(fd, line.data(), line.size());
}

}  // namespace zerocloud::tools
