// SPDX-License-Identifier: MIT
#pragma once

// oneTBB with the interface that the workloads ask for: an arena of `workers` threads beside the
// caller. It has no future of its own, so std::packaged_task supplies one.

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstddef>
#include <future>
#include <utility>

namespace bench {

class OneTbbPool {
 public:
  explicit OneTbbPool(unsigned workers)
      // Room for a pool in every task of a pool: the limit is the process's, and arenas whose
      // workers it has used up wait for ever.
      : limit_(tbb::global_control::max_allowed_parallelism,
               std::size_t{workers} * (workers + 1) + 1),
        arena_(static_cast<int>(workers), 0) {
    arena_.initialize();
  }

  template <class F>
  auto submit(F function) {
    Enqueued<decltype(function())> enqueued{
        std::packaged_task<decltype(function())()>(std::move(function))};
    auto future = enqueued.task.get_future();
    arena_.enqueue(std::move(enqueued));
    return future;
  }

  template <class F>
  void post(F&& function) {
    arena_.enqueue(std::forward<F>(function));
  }

  template <class T>
  static T get(std::future<T>& future) {
    return future.get();
  }

 private:
  /// oneTBB calls what was enqueued as const, and std::packaged_task cannot be.
  template <class R>
  struct Enqueued {
    mutable std::packaged_task<R()> task;
    void operator()() const { task(); }
  };

  tbb::global_control limit_;
  tbb::task_arena arena_;
};

/// Runs `body` in an arena of `workers` threads of which the caller is one, as parallel algorithms
/// and task groups are used.
template <class Body>
void in_arena(unsigned workers, Body&& body) {
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
  tbb::task_arena arena(static_cast<int>(workers), 1);
  arena.execute(std::forward<Body>(body));
}

}  // namespace bench
