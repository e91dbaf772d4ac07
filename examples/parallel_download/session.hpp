// SPDX-License-Identifier: MIT
#pragma once

// One HTTP client that keeps its connections open from one request to the next: what
// requests.Session is in Python, on libcurl. This is the only file that knows libcurl's transfers.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "interrupt.hpp"

namespace parallel_download {

struct SessionOptions {
  std::chrono::milliseconds timeout{60'000};  // for one request, from connecting to the last byte
  std::chrono::milliseconds connect_timeout{10'000};
  std::uint64_t max_size = 0;  // bytes of a body; 0 is no limit
  long max_redirects = 10;
  std::string ca_file;    // certificates to trust instead of the system's
  bool use_proxy = true;  // what http_proxy and the like in the environment say
};

/// How a request ended.
struct Response {
  enum class Outcome : std::uint8_t {
    whole,        // the body is there, all of it
    try_again,    // it failed in a way that may pass: the network, a timeout, an overloaded server
    refused,      // it failed and will fail again
    interrupted,  // Interrupt was raised
  };
  Outcome outcome = Outcome::refused;
  std::string reason;  // why it is not whole, for people
  std::optional<std::chrono::seconds> retry_after;
  std::string content_type;
  std::string content_disposition;
};

/// Where the body goes. What it throws ends the request and comes out of get().
using BodySink = std::function<void(std::span<const char>)>;

/// Thrown when libcurl itself cannot be used.
struct CurlError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// libcurl as a whole: one in main(), before any thread, for as long as there are sessions.
class CurlLibrary {
 public:
  CurlLibrary();
  ~CurlLibrary();
  CurlLibrary(const CurlLibrary&) = delete;
  CurlLibrary& operator=(const CurlLibrary&) = delete;
};

/// **Thread safety** none: one thread at a time.
class Session {
 public:
  explicit Session(const SessionOptions& options);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Follows redirects, verifies certificates, speaks http and https and nothing else.
  ///
  /// **Blocking** until the response is whole, the time is up, or `interrupt` is raised.
  /// @throws what `sink` throws.
  Response get(const std::string& url, const BodySink& sink, const Interrupt& interrupt);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace parallel_download
