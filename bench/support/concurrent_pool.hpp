// SPDX-License-Identifier: MIT
#pragma once

// Our pool with the interface that the workloads ask for. Nothing but the public API.

#include <concurrent/futures/thread_pool.hpp>
#include <cstddef>
#include <utility>

namespace bench {

class ConcurrentPool {
 public:
  explicit ConcurrentPool(unsigned workers) : executor_(std::size_t{workers}) {}

  template <class F>
  auto submit(F&& function) {
    return executor_.submit(std::forward<F>(function));
  }

  template <class F>
  void post(F&& function) {
    executor_.post(std::forward<F>(function));
  }

  template <class T>
  static T get(concurrent::futures::Future<T>& future) {
    return std::move(future).result();
  }

  concurrent::futures::ThreadPoolExecutor& executor() { return executor_; }

 private:
  concurrent::futures::ThreadPoolExecutor executor_;
};

}  // namespace bench
