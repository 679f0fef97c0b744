#include "middleware/upstream/http_client.h"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/http/ack_now.h"
#include "middleware/http/text.h"

namespace zerocloud::upstream {
namespace {

// Far more than Swift sends; of bodies those of errors.
constexpr std::size_t kMaxHeadBytes = std::size_t{256} * 1024;
constexpr std::uint64_t kMaxIgnoredBytes = std::uint64_t{1} << 20;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// One request under way: what curl's callbacks need.
struct Transfer {
  const ClientRequest* request = nullptr;
  std::string url;
  std::unique_ptr<CURL, EasyDeleter> easy;
  std::unique_ptr<curl_slist, ListDeleter> fields;
  std::array<char, CURL_ERROR_SIZE> message{};
  curl_socket_t socket = CURL_SOCKET_BAD;  // the last that curl waited for
  ClientReply reply;
  std::size_t head_bytes = 0;  // with interim answers and trailers
  bool has_head = false;       // on_head was told; trailers may follow
  std::uint64_t ignored = 0;   // bytes of a body that nobody wants
  std::uint64_t uploaded = 0;
  std::optional<Error> objection;  // what on_head or on_body said
  std::promise<CURLcode> ended;
};

long StatusOf(const Transfer& transfer) {
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

std::size_t OnHeader(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  ClientReply& reply = transfer.reply;
  transfer.head_bytes += size * count;
  if (transfer.head_bytes > kMaxHeadBytes) {
    transfer.objection =
        Error{ErrorCode::kUnavailable,
              "the head of the answer has more than " + std::to_string(kMaxHeadBytes) + " bytes"};
    return 0;
  }
  const std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) {
    reply.headers = {};  // an interim answer went before
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
    reply.headers.Add(line.substr(0, colon), http::Trim(value));
  } else {
    http::AckNow(transfer.socket);  // the empty line: the body may come alone
    if (transfer.request->on_head && !transfer.has_head && StatusOf(transfer) / 100 == 2) {
      transfer.has_head = true;
      const Result<void> taken = transfer.request->on_head(reply.headers);
      if (!taken.has_value()) {
        transfer.objection = taken.error();
        return 0;
      }
    }
  }
  return size * count;
}

std::size_t OnBody(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::size_t length = size * count;
  http::AckNow(transfer.socket);
  if (!transfer.request->on_body || StatusOf(transfer) / 100 != 2) {
    transfer.ignored += length;
    if (transfer.ignored <= kMaxIgnoredBytes) return length;
    transfer.objection =
        Error{ErrorCode::kUnavailable, "an answer that is not wanted has more than " +
                                           std::to_string(kMaxIgnoredBytes) + " bytes"};
    return CURL_WRITEFUNC_ERROR;
  }
  const void* start = bytes;
  const Result<void> taken =
      transfer.request->on_body({static_cast<const std::byte*>(start), length});
  if (taken.has_value()) return length;
  transfer.objection = taken.error();
  return CURL_WRITEFUNC_ERROR;
}

std::size_t OnUpload(char* space, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::uint64_t left = transfer.request->upload_size - transfer.uploaded;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, size * count));
  const ssize_t got =
      ::pread(transfer.request->upload_file, space, wanted, static_cast<off_t>(transfer.uploaded));
  if (got < 0 || (got == 0 && wanted > 0)) {
    transfer.objection = Error{ErrorCode::kInternal, "the file to upload cannot be read"};
    return CURL_READFUNC_ABORT;
  }
  transfer.uploaded += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

int OnSeek(void* user, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<Transfer*>(user)->uploaded = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

Error ErrorOf(const Transfer& transfer, CURLcode code) {
  if (transfer.objection.has_value()) return *transfer.objection;
  const std::string detail =
      transfer.message[0] != '\0' ? transfer.message.data() : curl_easy_strerror(code);
  const std::string what = transfer.request->method + " " + transfer.url + " failed: " + detail;
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorCode::kTimeout, what};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {ErrorCode::kUnavailable, what};
    default:
      return {ErrorCode::kInternal, what};
  }
}

Result<void> Prepare(Transfer& transfer, const ClientOptions& options) {
  const ClientRequest& request = *transfer.request;
  transfer.easy.reset(curl_easy_init());
  CURL* easy = transfer.easy.get();
  if (easy == nullptr) return Fail(ErrorCode::kUnavailable, "no memory for an HTTP request");
  curl_slist* list = nullptr;
  const auto add = [&list](const std::string& line) {
    curl_slist* grown = curl_slist_append(list, line.c_str());
    if (grown != nullptr) list = grown;
    return grown != nullptr;
  };
  bool is_complete = true;
  for (const auto& [name, value] : request.headers) {
    const auto has_break = [](std::string_view text) {
      return text.find_first_of("\r\n") != std::string_view::npos;
    };
    if (has_break(name) || has_break(value) || name.empty()) {
      curl_slist_free_all(list);
      return Fail(ErrorCode::kInvalid,
                  "the header field " + http::ToLower(name.substr(0, 40)) + " holds a line break");
    }
    // curl's notation: "Name;" is a field without a value, "Name:" would remove it.
    std::string line(name);
    line.append(value.empty() ? ";" : ": ").append(value);
    is_complete = is_complete && add(line);
  }
  constexpr std::uint64_t kWorthAsking = 1 << 20;
  if (request.upload_size < kWorthAsking) is_complete = is_complete && add("Expect:");
  transfer.fields.reset(list);
  if (!is_complete) return Fail(ErrorCode::kUnavailable, "no memory for an HTTP request");

  const auto stall_seconds = static_cast<long>(options.stall_timeout.count());
  curl_easy_setopt(easy, CURLOPT_URL, transfer.url.c_str());
  if (!options.tls_authorities.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.tls_authorities.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // ".." can be an object's name
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // whatever the environment says
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.message.data());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_seconds);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  if (request.upload_file >= 0) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.upload_size));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, OnUpload);
    curl_easy_setopt(easy, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, OnSeek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &transfer);
  }
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  return {};
}

}  // namespace

struct HttpClient::State {
  using Clock = std::chrono::steady_clock;

  explicit State(ClientOptions given)
      : options(std::make_shared<const ClientOptions>(std::move(given))) {}

  // One attempt. `is_reached`: a connection was made, so the request may have had an effect.
  Result<ClientReply> SendTo(std::string url, const ClientRequest& request,
                             const ClientOptions& with, bool& is_reached);
  // What curl asks for: to hear of a socket (then `what` is CURL_POLL_...), and to be called then.
  static int OnSocket(CURL* easy, curl_socket_t socket, int what, void* user, void* unused);
  static int OnTimer(CURLM* multi, long milliseconds, void* user);

  Result<void> Open();
  void Wake() const;
  void Loop();
  void TakeQueued();
  void TakeEvents();
  void FinishDone();

  std::shared_ptr<const ClientOptions> options;  // under mutex
  std::size_t preferred = 0;  // under mutex: after the origin that answered last, or the next
  CURLM* multi = nullptr;
  UniqueFd epoll;
  UniqueFd wakeup;  // an eventfd
  std::mutex mutex;
  std::vector<Transfer*> queued;      // under mutex
  bool is_closing = false;            // under mutex
  std::map<CURL*, Transfer*> active;  // the thread's own, as the next
  std::optional<Clock::time_point> timer;
  std::thread thread;
};

void HttpClient::State::TakeQueued() {
  std::vector<Transfer*> taken;
  {
    const std::lock_guard lock(mutex);
    taken.swap(queued);
  }
  for (Transfer* transfer : taken) {
    CURL* easy = transfer->easy.get();
    if (curl_multi_add_handle(multi, easy) == CURLM_OK) {
      active.emplace(easy, transfer);
    } else {
      transfer->ended.set_value(CURLE_OUT_OF_MEMORY);
    }
  }
}

void HttpClient::State::FinishDone() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;  // gone with the next call
    const auto found = active.find(easy);
    if (found == active.end()) continue;
    Transfer* transfer = found->second;
    active.erase(found);
    curl_multi_remove_handle(multi, easy);
    // The caller may destroy the transfer from here on.
    transfer->ended.set_value(code);
  }
}

int HttpClient::State::OnSocket(CURL* easy, curl_socket_t socket, int what, void* user,
                                void* /*unused*/) {
  auto& state = *static_cast<State*>(user);
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(state.epoll.get(), EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  const auto found = state.active.find(easy);
  if (found != state.active.end()) found->second->socket = socket;
  epoll_event event{};
  if (what != CURL_POLL_OUT) event.events |= EPOLLIN;
  if (what != CURL_POLL_IN) event.events |= EPOLLOUT;
  event.data.fd = socket;
  if (::epoll_ctl(state.epoll.get(), EPOLL_CTL_MOD, socket, &event) == 0) return 0;
  // Without events the transfer ends by its timeouts; an error told here would end all of them.
  ::epoll_ctl(state.epoll.get(), EPOLL_CTL_ADD, socket, &event);
  return 0;
}

int HttpClient::State::OnTimer(CURLM* /*multi*/, long milliseconds, void* user) {
  auto& timer = static_cast<State*>(user)->timer;
  timer.reset();
  if (milliseconds >= 0) timer = Clock::now() + std::chrono::milliseconds(milliseconds);
  return 0;
}

Result<void> HttpClient::State::Open() {
  static const CURLcode kGlobal = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kGlobal == CURLE_OK) multi = curl_multi_init();
  if (multi == nullptr) return Fail(ErrorCode::kInternal, "libcurl cannot be started");
  epoll.Reset(::epoll_create1(EPOLL_CLOEXEC));
  wakeup.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wakeup.get();
  if (!epoll.is_open() || !wakeup.is_open() ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wakeup.get(), &event) != 0) {
    return FailErrno("no descriptors for an HTTP client", errno);
  }
  const auto at_once = static_cast<long>(options->requests_at_once);
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, at_once);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, at_once);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, OnSocket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, OnTimer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  return {};
}

void HttpClient::State::Wake() const { ::eventfd_write(wakeup.get(), 1); }

void HttpClient::State::TakeEvents() {
  int patience = -1;
  if (timer.has_value()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*timer - Clock::now()).count();
    patience = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), patience);
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == wakeup.get()) {
      eventfd_t ignored = 0;
      ::eventfd_read(wakeup.get(), &ignored);
      continue;
    }
    int what = 0;
    if ((event.events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi, event.data.fd, what, &running);
  }
  if (timer.has_value() && *timer <= Clock::now()) {
    timer.reset();
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

void HttpClient::State::Loop() {
  for (;;) {
    {
      const std::lock_guard lock(mutex);
      if (is_closing) return;
    }
    TakeQueued();
    TakeEvents();
    FinishDone();
  }
}

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpClient>> HttpClient::Start(ClientOptions options) {
  auto state = std::make_unique<State>(std::move(options));
  Result<void> opened = state->Open();
  if (!opened) {
    curl_multi_cleanup(state->multi);
    return Fail(opened);
  }
  state->thread = std::thread([raw = state.get()] { raw->Loop(); });
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

HttpClient::~HttpClient() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_closing = true;
  }
  state_->Wake();
  state_->thread.join();
  curl_multi_cleanup(state_->multi);
}

void HttpClient::Change(ClientOptions options) {
  const std::lock_guard lock(state_->mutex);
  state_->options = std::make_shared<const ClientOptions>(std::move(options));
}

Result<ClientReply> HttpClient::Send(const ClientRequest& request) {
  bool is_reached = false;
  std::shared_ptr<const ClientOptions> options;
  std::size_t first = 0;
  {
    const std::lock_guard lock(state_->mutex);
    options = state_->options;
    first = state_->preferred;
  }
  if (!request.url.starts_with('/')) {
    return state_->SendTo(request.url, request, *options, is_reached);
  }
  const std::vector<std::string>& origins = options->origins;
  Result<ClientReply> reply = Fail(ErrorCode::kInternal, "the HTTP client has no origins");
  for (std::size_t i = 0; i < origins.size() && !is_reached; ++i) {
    const std::size_t chosen = (first + i) % origins.size();
    reply = state_->SendTo(origins[chosen] + request.url, request, *options, is_reached);
    if (!is_reached) continue;
    const std::lock_guard lock(state_->mutex);
    state_->preferred = reply.has_value() ? chosen : chosen + 1;
  }
  return reply;
}

Result<ClientReply> HttpClient::State::SendTo(std::string url, const ClientRequest& request,
                                              const ClientOptions& with, bool& is_reached) {
  Transfer transfer;
  transfer.request = &request;
  transfer.url = std::move(url);
  is_reached = true;
  const Result<void> prepared = Prepare(transfer, with);
  if (!prepared.has_value()) return Fail(prepared);
  {
    const std::lock_guard lock(mutex);
    queued.push_back(&transfer);
  }
  Wake();
  const CURLcode code = transfer.ended.get_future().get();
  CURL* easy = transfer.easy.get();
  // 0 until there is a connection, a new or a kept one, and the request is about to be sent.
  curl_off_t connected_after = 0;
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_after);
  is_reached = connected_after > 0;
  if (code != CURLE_OK) return std::unexpected(ErrorOf(transfer, code));
  transfer.reply.status = static_cast<int>(StatusOf(transfer));
  return std::move(transfer.reply);
}

std::function<Result<void>(std::span<const std::byte>)> KeepBody(std::string& text,
                                                                 std::size_t most, Error too_long) {
  return [&text, most,
          too_long = std::move(too_long)](std::span<const std::byte> bytes) -> Result<void> {
    if (bytes.size() > most - text.size()) return std::unexpected(too_long);
    const void* start = bytes.data();
    text.append(static_cast<const char*>(start), bytes.size());
    return {};
  };
}

}  // namespace zerocloud::upstream
