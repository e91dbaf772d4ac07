// SPDX-License-Identifier: MIT
#pragma once

// The three ways to run the jobs, behind one name. All of them are executors, so everything that
// follows is the same code: `executor.map(function, jobs)`.

#include <concurrent/futures/executor.hpp>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace image_processing {

namespace futures = concurrent::futures;

/// Runs each task at once, in the caller: an executor of one's own takes a submit and a shutdown.
class SequentialExecutor : public futures::ExecutorInterface<SequentialExecutor> {
 public:
  template <class Fn, class... Args>
  auto submit(Fn&& fn, Args&&... args) {
    using Result = std::invoke_result_t<Fn, Args...>;
    futures::Future<Result> future;
    future.set_running_or_notify_cancel();
    try {
      if constexpr (std::is_void_v<Result>) {
        std::invoke(std::forward<Fn>(fn), std::forward<Args>(args)...);
        future.set_result();
      } else {
        future.set_result(std::invoke(std::forward<Fn>(fn), std::forward<Args>(args)...));
      }
    } catch (...) {
      future.set_exception(std::current_exception());
    }
    return future;
  }

  void shutdown(bool = true, bool = false) {}
};

enum class ExecutorKind { sequential, thread, process };

constexpr std::string_view name_of(ExecutorKind kind) {
  switch (kind) {
    case ExecutorKind::sequential:
      return "sequential";
    case ExecutorKind::thread:
      return "thread";
    case ExecutorKind::process:
      return "process";
  }
  return "?";
}

/// Which executor, and how.
struct ExecutorChoice {
  ExecutorKind kind = ExecutorKind::process;
  std::size_t workers = 1;
  bool sandbox = false;  // of processes
};

/// Makes the executor, calls `use` with it, and shuts it down.
template <class Use>
void with_executor(const ExecutorChoice& choice, Use&& use) {
  switch (choice.kind) {
    case ExecutorKind::sequential: {
      SequentialExecutor executor;
      return use(executor);
    }
    case ExecutorKind::thread: {
      futures::ThreadPoolExecutor executor(choice.workers);
      return use(executor);
    }
    case ExecutorKind::process: {
      // A picture that crashes its worker costs that picture alone.
      futures::ProcessPoolExecutor executor({.max_workers = choice.workers,
                                             .on_worker_death = futures::OnWorkerDeath::restart,
                                             .limits = {.core_dumps = !choice.sandbox},
                                             .sandbox = choice.sandbox});
      return use(executor);
    }
  }
}

/// Applies `function` to every item and hands item and result to `take`, in order. Only a few items
/// more than there are workers are under way at any time, so that ten thousand pictures need no
/// more memory than ten. What a task could not report itself (its worker died, say) goes to
/// `give_up` as text. `prepare` makes of an item what the function is called with, in this thread
/// and when its turn comes.
template <class Function, class Items, class Take, class GiveUp, class Prepare = std::identity>
void run_all(const ExecutorChoice& choice, Function function, const Items& items, const Take& take,
             const GiveUp& give_up, const Prepare& prepare = {}) {
  with_executor(choice, [&](auto& executor) {
    const std::size_t ahead = choice.kind == ExecutorKind::sequential ? 1 : 4 * choice.workers;
    auto results = executor.map(futures::MapOptions{.chunksize = 1, .buffersize = ahead}, function,
                                items | std::views::transform(prepare));
    auto result = results.begin();
    std::string broken = "was not started";
    for (const auto& item : items) {
      if (result == results.end()) {
        give_up(item, broken);
        continue;
      }
      try {
        take(item, *result);
      } catch (const std::exception& error) {
        give_up(item, error.what());
      }
      try {
        ++result;  // submits the next item, which a broken pool refuses
      } catch (const std::exception& error) {
        broken = error.what();
      }
    }
  });
}

}  // namespace image_processing
