// SPDX-License-Identifier: MIT
#pragma once

// A web server on a bare socket that does whatever a test tells it to, byte by byte: the faults
// that a proper server library would not commit.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace parallel_download::testing {

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "socket");
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

inline Socket listening_socket(int backlog) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!bound || ::listen(socket.get(), backlog) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot listen");
  }
  return socket;
}

inline int port_of(const Socket& socket) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// One client that is connected. Every call returns at once, or as soon as the server is to stop.
class Connection {
 public:
  Connection(Socket socket, const std::atomic<bool>& stop)
      : socket_(std::move(socket)), stop_(stop) {}

  /// The path of the next request; nothing when the client is gone.
  std::optional<std::string> next_request() {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      char character = 0;
      if (!wait_for(POLLIN) || ::recv(socket_.get(), &character, 1, 0) != 1) return std::nullopt;
      head.push_back(character);
    }
    const std::size_t begin = head.find(' ') + 1;
    return head.substr(begin, head.find(' ', begin) - begin);
  }

  /// False when the client is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!wait_for(POLLOUT)) return false;
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// A whole response; `headers` is empty or lines that each end in CR LF.
  void respond(std::string_view status, std::string_view headers, std::string_view body) {
    send("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body));
  }

  /// The client sees "connection reset by peer" when this connection is closed next.
  void reset_on_close() {
    const linger now = {1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

  /// Whether the server is to stop.
  bool stopped() const { return stop_.load(); }

  /// Says nothing until the client gives up.
  void wait_until_client_leaves() {
    char character = 0;
    while (wait_for(POLLIN) && ::recv(socket_.get(), &character, 1, 0) > 0) {
    }
  }

 private:
  bool wait_for(short event) {
    constexpr int milliseconds = 20;
    while (!stop_.load()) {
      pollfd wanted = {socket_.get(), event, 0};
      if (::poll(&wanted, 1, milliseconds) > 0) return true;
    }
    return false;
  }

  Socket socket_;
  const std::atomic<bool>& stop_;
};

/// Calls `handler` with each request, on one thread for each connection. The connection is closed
/// when the handler returns false.
class RawServer {
 public:
  using Handler = std::function<bool(Connection&, const std::string& path)>;

  explicit RawServer(Handler handler)
      : handler_(std::move(handler)), socket_(listening_socket(SOMAXCONN)) {
    acceptor_ = std::jthread([this] { accept_all(); });
  }
  ~RawServer() {
    stop_ = true;
    acceptor_.join();
    connections_.clear();
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_of(socket_)) + path;
  }
  int requests(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return requests_[path];
  }
  int connections() const { return accepted_.load(); }

 private:
  void accept_all() {
    constexpr int milliseconds = 20;
    while (!stop_) {
      pollfd wanted = {socket_.get(), POLLIN, 0};
      if (::poll(&wanted, 1, milliseconds) <= 0) continue;
      const int client = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      ++accepted_;
      connections_.emplace_back([this, client] { serve(Connection(Socket(client), stop_)); });
    }
  }

  void serve(Connection connection) {
    while (const auto path = connection.next_request()) {
      {
        const std::scoped_lock lock(mutex_);
        ++requests_[*path];
      }
      if (!handler_(connection, *path)) return;
    }
  }

  Handler handler_;
  Socket socket_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  std::map<std::string, int> requests_;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

/// A port where the handshake of a connection never ends, because the queue of those who wait to be
/// accepted is full.
class FullPort {
 public:
  FullPort() : socket_(listening_socket(0)) {
    // Linux lets one more in than it was told; the others knock in vain.
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_in address = {};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(static_cast<std::uint16_t>(port_of(socket_)));
      ::connect(waiting_.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_of(socket_)) + path;
  }

 private:
  Socket socket_;
  std::vector<Socket> waiting_;
};

}  // namespace parallel_download::testing
