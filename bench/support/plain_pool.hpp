// SPDX-License-Identifier: MIT
#pragma once

// The pool that everybody writes: std::thread, one mutex, one condition variable, a deque of
// std::packaged_task. The baseline without a library.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

class PlainPool {
 public:
  explicit PlainPool(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }

  ~PlainPool() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  PlainPool(const PlainPool&) = delete;
  PlainPool& operator=(const PlainPool&) = delete;

  template <class F>
  std::future<std::size_t> submit(F function) {
    std::packaged_task<std::size_t()> task(std::move(function));
    auto future = task.get_future();
    push(std::move(task));
    return future;
  }

  template <class F>
  void post(F function) {
    push(std::packaged_task<std::size_t()>([function]() mutable {
      function();
      return std::size_t{0};
    }));
  }

  template <class T>
  static T get(std::future<T>& future) {
    return future.get();
  }

 private:
  void push(std::packaged_task<std::size_t()> task) {
    {
      const std::scoped_lock lock(mutex_);
      queue_.push_back(std::move(task));
    }
    ready_.notify_one();
  }

  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return closed_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::packaged_task<std::size_t()>> queue_;
  bool closed_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace bench
