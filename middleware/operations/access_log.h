// The access log: one line for each request, as a JSON object or in the fields of Swift's proxy.
//
// Nothing that a client sends can end a line or make another: whatever is no plain ASCII is escaped
// (JSON) or percent-quoted (Swift's quote(value, ':/{}')).
#pragma once

#include <cstddef>
#include <ctime>
#include <string>

#include "middleware/server/server.h"

namespace zerocloud::operations {

// {"time": ..., "request": "tx...", ...} and a line feed.
std::string JsonLine(const server::RequestRecord& record);

// As Swift's proxy-logging writes it, separated by spaces, "-" for what is not there:
//   client_ip remote_addr end_time.datetime method path protocol status_int referer user_agent
//   auth_token bytes_recvd bytes_sent client_etag transaction_id headers request_time source
//   log_info start_time end_time policy_index
// `source` is ZC for a job. Of a longer token or signature only the first `token_bytes` characters
// are shown, of others none.
std::string SwiftLine(const server::RequestRecord& record, std::size_t token_bytes);

// One write(2), so that lines of several threads do not mix. A log that cannot be written stops
// nothing.
void WriteLine(int fd, const std::string& line);

}  // namespace zerocloud::operations
