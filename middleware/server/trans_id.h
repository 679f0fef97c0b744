// Transaction ids: what X-Trans-Id and the logs know a request by. Same form as OpenStack Swift's,
// "tx<21 hex>-<10 hex seconds>", so that tools which cut it apart keep working.
#pragma once

#include <string>
#include <string_view>

namespace zerocloud::server {

// A fresh id from the host's random source. `extra` is the client's X-Trans-Id-Extra: its first 32
// bytes are appended after '-', without what is not a letter, digit, '-', '_' or '.'.
std::string NewTransId(std::string_view extra);

}  // namespace zerocloud::server
