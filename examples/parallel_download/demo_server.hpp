// SPDX-License-Identifier: MIT
#pragma once

// A web server inside the program, so that sequential and parallel downloads can be compared on any
// machine, without the internet: real sockets, real pictures, and a delay like that of a far
// server.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace parallel_download {

/// Serves the pictures of document_urls() under the names that they have there, on 127.0.0.1 only.
/// Each answer begins `delay` after its request came; requests do not wait for each other.
class DemoServer {
 public:
  /// @throws std::runtime_error when there is no port to listen on.
  explicit DemoServer(std::chrono::milliseconds delay);

  /// **Blocking** until requests that are being answered have been.
  ~DemoServer();
  DemoServer(const DemoServer&) = delete;
  DemoServer& operator=(const DemoServer&) = delete;

  /// The addresses of the pictures on this server, in the order of document_urls().
  std::vector<std::string> urls() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace parallel_download
