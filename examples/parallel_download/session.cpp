// SPDX-License-Identifier: MIT
#include "session.hpp"

#include <curl/curl.h>

#include <array>
#include <exception>
#include <string_view>
#include <type_traits>
#include <utility>

#include "http_status.hpp"
#include "text.hpp"

namespace parallel_download {
namespace {

/// What the callbacks of one request share.
struct Exchange {
  Exchange(const BodySink& body_sink, std::uint64_t largest_body)
      : sink(body_sink), max_size(largest_body) {}

  const BodySink& sink;
  const std::uint64_t max_size;
  std::uint64_t received = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
  bool surplus = false;
  std::string location;
  std::string content_disposition;
  std::exception_ptr failure;
};

constexpr std::size_t most_header_bytes = 262'144;

struct CleanUpEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CleanUpMulti {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};

template <class T>
void set(CURL* handle, CURLoption option, T value) {
  static_assert(!std::is_integral_v<T> || std::is_same_v<T, long> || std::is_same_v<T, curl_off_t>,
                "libcurl reads numbers as long or curl_off_t, so write them as such");
  if (const CURLcode code = curl_easy_setopt(handle, option, value); code != CURLE_OK) {
    throw CurlError("libcurl " + std::string(curl_version_info(CURLVERSION_NOW)->version) +
                    " refuses option " + std::to_string(static_cast<int>(option)) + ": " +
                    curl_easy_strerror(code));
  }
}

template <class T>
T info(CURL* handle, CURLINFO what) {
  T value{};
  curl_easy_getinfo(handle, what, &value);
  return value;
}

void allow_only_http(CURL* handle) {
#if CURL_AT_LEAST_VERSION(7, 85, 0)
  set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  set(handle, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(handle, CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

// libcurl is C: no exception may cross it, so each callback keeps its own for get() to throw.
std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (size == 0) return 0;
  exchange.received += size;
  if (exchange.max_size != 0 && exchange.received > exchange.max_size) {
    exchange.too_large = true;
    return 0;  // fewer than came: the transfer fails
  }
  try {
    exchange.sink({data, size});
    return size;
  } catch (...) {
    exchange.failure = std::current_exception();
    return 0;  // fewer than came: the transfer fails
  }
}

void read_header(Exchange& exchange, std::string_view line) {
  if (line.starts_with("HTTP/")) {  // the next response of a chain of redirects
    exchange.location.clear();
    exchange.content_disposition.clear();
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = ascii_lower(trimmed(line.substr(0, colon)));
  if (name == "location") exchange.location = trimmed(line.substr(colon + 1));
  if (name == "content-disposition") exchange.content_disposition = trimmed(line.substr(colon + 1));
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  exchange.header_bytes += size;
  if (exchange.header_bytes > most_header_bytes) return 0;
  try {
    read_header(exchange, {data, size});
    return size;
  } catch (...) {
    exchange.failure = std::current_exception();
    return 0;
  }
}

/// A body that goes on after its Content-Length is cut there by libcurl, which says so here only.
int on_debug(CURL*, curl_infotype type, char* data, std::size_t size, void* user) {
  const std::string_view text(data, size);
  if (type == CURLINFO_TEXT && text.starts_with("Excess found")) {
    static_cast<Exchange*>(user)->surplus = true;
  }
  return 0;
}

bool is_transient(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

}  // namespace

CurlLibrary::CurlLibrary() {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw CurlError("cannot start libcurl");
}

CurlLibrary::~CurlLibrary() { curl_global_cleanup(); }

class Session::Implementation {
 public:
  explicit Implementation(const SessionOptions& options);
  Response get(const std::string& url, const BodySink& sink, const Interrupt& interrupt);

 private:
  void configure();
  std::optional<CURLcode> run(const Interrupt& interrupt);
  std::optional<CURLcode> finished_with() const;
  Response response_for(CURLcode code, const Exchange& exchange);
  Response failure_for(CURLcode code, const Exchange& exchange);
  Response status_failure(long status);

  SessionOptions options_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  // The multi handle owns the connections; it goes last.
  std::unique_ptr<CURLM, CleanUpMulti> multi_;
  std::unique_ptr<CURL, CleanUpEasy> easy_;
};

Session::Implementation::Implementation(const SessionOptions& options)
    : options_(options), multi_(curl_multi_init()), easy_(curl_easy_init()) {
  if (!multi_ || !easy_) throw CurlError("cannot make a libcurl handle");
  configure();
}

void Session::Implementation::configure() {
  CURL* handle = easy_.get();
  allow_only_http(handle);
  set(handle, CURLOPT_USERAGENT, "concurrent-parallel_download");
  set(handle, CURLOPT_NOSIGNAL, 1L);  // signals and threads do not mix
  set(handle, CURLOPT_TCP_NODELAY, 1L);
  set(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set(handle, CURLOPT_MAXREDIRS, options_.max_redirects);
  set(handle, CURLOPT_FAILONERROR, 1L);
  set(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  set(handle, CURLOPT_SSL_VERIFYHOST, 2L);
  set(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  set(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options_.max_size));
  if (!options_.ca_file.empty()) set(handle, CURLOPT_CAINFO, options_.ca_file.c_str());
  if (!options_.use_proxy) set(handle, CURLOPT_PROXY, "");
  set(handle, CURLOPT_ERRORBUFFER, error_.data());
  set(handle, CURLOPT_WRITEFUNCTION, &on_body);
  set(handle, CURLOPT_HEADERFUNCTION, &on_header);
  set(handle, CURLOPT_DEBUGFUNCTION, &on_debug);
  set(handle, CURLOPT_VERBOSE, 1L);  // or on_debug hears nothing
#if CURL_AT_LEAST_VERSION(7, 87, 0)
  // A name look-up cannot be stopped, only left behind; waiting for it would break every time
  // limit.
  set(handle, CURLOPT_QUICK_EXIT, 1L);
#endif
}

Response Session::Implementation::get(const std::string& url, const BodySink& sink,
                                      const Interrupt& interrupt) {
  Exchange exchange(sink, options_.max_size);
  error_.front() = '\0';
  set(easy_.get(), CURLOPT_URL, url.c_str());
  set(easy_.get(), CURLOPT_WRITEDATA, &exchange);
  set(easy_.get(), CURLOPT_HEADERDATA, &exchange);
  set(easy_.get(), CURLOPT_DEBUGDATA, &exchange);
  curl_multi_add_handle(multi_.get(), easy_.get());
  const std::optional<CURLcode> code = run(interrupt);
  curl_multi_remove_handle(multi_.get(), easy_.get());
  if (exchange.failure) std::rethrow_exception(exchange.failure);
  if (code) return response_for(*code, exchange);
  Response response;
  response.outcome = Response::Outcome::interrupted;
  response.reason = "interrupted";
  return response;
}

/// Drives the one transfer to its end. A multi handle rather than curl_easy_perform(): it can wait
/// for the Interrupt along with the socket. Nothing when interrupted.
std::optional<CURLcode> Session::Implementation::run(const Interrupt& interrupt) {
  constexpr int longest_wait_ms = 60'000;  // libcurl shortens it to its own next deadline
  while (!interrupt.raised()) {
    int running = 0;
    CURLMcode code = curl_multi_perform(multi_.get(), &running);
    if (code == CURLM_OK && running == 0) return finished_with();
    curl_waitfd wake = {interrupt.descriptor(), CURL_WAIT_POLLIN, 0};
    if (code == CURLM_OK) code = curl_multi_poll(multi_.get(), &wake, 1, longest_wait_ms, nullptr);
    if (code != CURLM_OK) throw CurlError(curl_multi_strerror(code));
  }
  return std::nullopt;
}

std::optional<CURLcode> Session::Implementation::finished_with() const {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  throw CurlError("libcurl lost a transfer");
}

Response Session::Implementation::response_for(CURLcode code, const Exchange& exchange) {
  if (code != CURLE_OK) return failure_for(code, exchange);
  const long status = info<long>(easy_.get(), CURLINFO_RESPONSE_CODE);
  if (status < 200 || status >= 300 || status == 204 || status == 205)
    return status_failure(status);
  Response response;
  if (exchange.surplus) {
    response.reason = "the server sent more than its Content-Length says";
    return response;
  }
  const char* type = info<const char*>(easy_.get(), CURLINFO_CONTENT_TYPE);
  response.outcome = Response::Outcome::whole;
  response.content_type = type != nullptr ? type : "";
  response.content_disposition = exchange.content_disposition;
  return response;
}

Response Session::Implementation::status_failure(long status) {
  Response response;
  response.reason = describe_status(status);
  if (is_transient_status(status)) response.outcome = Response::Outcome::try_again;
  if (const auto wait = info<curl_off_t>(easy_.get(), CURLINFO_RETRY_AFTER); wait > 0) {
    response.retry_after = std::chrono::seconds(wait);
  }
  return response;
}

Response Session::Implementation::failure_for(CURLcode code, const Exchange& exchange) {
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    return status_failure(info<long>(easy_.get(), CURLINFO_RESPONSE_CODE));
  }
  Response response;
  if (is_transient(code)) response.outcome = Response::Outcome::try_again;
  const std::string details = error_.front() != '\0' ? error_.data() : curl_easy_strerror(code);
  if (exchange.too_large || code == CURLE_FILESIZE_EXCEEDED) {
    response.reason = "larger than the limit of " + std::to_string(options_.max_size) + " bytes";
  } else if (exchange.header_bytes > most_header_bytes) {
    response.reason = "the headers never end";
  } else if (code == CURLE_UNSUPPORTED_PROTOCOL && !exchange.location.empty()) {
    response.reason = "redirected to " + exchange.location + ": only http and https are allowed";
  } else if (code == CURLE_TOO_MANY_REDIRECTS) {
    response.reason = "more than " + std::to_string(options_.max_redirects) + " redirects";
  } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
    response.reason = "the server's certificate is not trusted: " + details;
  } else {
    response.reason = details;
  }
  response.reason = printable(response.reason);
  return response;
}

Session::Session(const SessionOptions& options)
    : implementation_(std::make_unique<Implementation>(options)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

Response Session::get(const std::string& url, const BodySink& sink, const Interrupt& interrupt) {
  return implementation_->get(url, sink, interrupt);
}

}  // namespace parallel_download
