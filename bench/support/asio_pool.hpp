// SPDX-License-Identifier: MIT
#pragma once

// Asio's thread pool with the interface that the workloads ask for; its futures come from its own
// completion token.

#include <asio/packaged_task.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <future>
#include <utility>

namespace bench {

class AsioPool {
 public:
  explicit AsioPool(unsigned workers) : pool_(workers) {}
  ~AsioPool() { pool_.join(); }
  AsioPool(const AsioPool&) = delete;
  AsioPool& operator=(const AsioPool&) = delete;

  template <class F>
  auto submit(F function) {
    return asio::post(pool_, std::packaged_task<decltype(function())()>(std::move(function)));
  }

  template <class F>
  void post(F&& function) {
    asio::post(pool_, std::forward<F>(function));
  }

  template <class T>
  static T get(std::future<T>& future) {
    return future.get();
  }

 private:
  asio::thread_pool pool_;
};

}  // namespace bench
