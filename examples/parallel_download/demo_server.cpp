// SPDX-License-Identifier: MIT
#include "demo_server.hpp"

#include <httplib.h>
#include <sys/socket.h>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>

#include "demo_picture.hpp"
#include "safe_filename.hpp"
#include "urls.hpp"

namespace parallel_download {
namespace {

using Clock = std::chrono::steady_clock;

// Each open connection keeps one of the server's threads, so this is how many workers it can serve
// at once. The listen queue that cpp-httplib asks for has only five places: a burst of connections
// would lose some, and each of these would come again only after a second.
constexpr std::size_t server_threads = 64;
constexpr int listen_queue = 128;

}  // namespace

class DemoServer::Implementation {
 public:
  explicit Implementation(std::chrono::milliseconds delay);
  ~Implementation();
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void answer(const httplib::Request& request, httplib::Response& response);
  void configure();
  void wait_until(Clock::time_point time);

  const std::chrono::milliseconds delay_;
  std::unordered_map<std::string, std::string> pictures_;  // by path
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  socket_t socket_ = INVALID_SOCKET;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

DemoServer::Implementation::Implementation(std::chrono::milliseconds delay) : delay_(delay) {
  unsigned seed = 0;
  for (const std::string& url : document_urls()) {
    pictures_.emplace("/" + name_from_url(url), demo_picture(seed++));
  }
  configure();
  port_ = server_.bind_to_any_port("127.0.0.1");
  if (port_ <= 0) throw std::runtime_error("the demonstration server finds no port to listen on");
  ::listen(socket_, listen_queue);
  thread_ = std::thread([this] { server_.listen_after_bind(); });
  // stop() does nothing to a server that has not begun.
  while (!server_.is_running()) std::this_thread::yield();
}

DemoServer::Implementation::~Implementation() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  server_.stop();
  thread_.join();
}

void DemoServer::Implementation::configure() {
  constexpr std::size_t requests_a_connection = 1'000'000;
  server_.new_task_queue = [] { return new httplib::ThreadPool(server_threads); };
  server_.set_tcp_nodelay(true);
  server_.set_keep_alive_max_count(requests_a_connection);
  server_.set_socket_options([this](socket_t socket) { socket_ = socket; });
  server_.Get("/.*", [this](const httplib::Request& request, httplib::Response& response) {
    answer(request, response);
  });
}

void DemoServer::Implementation::answer(const httplib::Request& request,
                                        httplib::Response& response) {
  wait_until(Clock::now() + delay_);
  const auto picture = pictures_.find(request.path);
  if (picture == pictures_.end()) {
    response.status = 404;
  } else {
    response.set_content(picture->second, "image/jpeg");
  }
}

void DemoServer::Implementation::wait_until(Clock::time_point time) {
  std::unique_lock lock(mutex_);
  stopped_.wait_until(lock, time, [this] { return stop_; });
}

DemoServer::DemoServer(std::chrono::milliseconds delay)
    : implementation_(std::make_unique<Implementation>(delay)) {}

DemoServer::~DemoServer() = default;

std::vector<std::string> DemoServer::urls() const {
  std::vector<std::string> urls;
  for (const std::string& url : document_urls()) {
    urls.push_back(implementation_->address() + "/" + name_from_url(url));
  }
  return urls;
}

}  // namespace parallel_download
