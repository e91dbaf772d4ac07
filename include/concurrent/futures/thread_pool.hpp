// SPDX-License-Identifier: MIT
#pragma once

// ThreadPoolExecutor. Counterpart: concurrent.futures.ThreadPoolExecutor.

#include <atomic>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/futures/detail/call.hpp>
#include <concurrent/futures/detail/dependent_task.hpp>
#include <concurrent/futures/detail/ordered_tasks.hpp>
#include <concurrent/futures/detail/shared_callable.hpp>
#include <concurrent/futures/detail/task.hpp>
#include <concurrent/futures/detail/thread_pool_core.hpp>
#include <concurrent/futures/executor.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/task_options.hpp>
#include <cstddef>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrent::futures {

/// Python's default for threads, min(32, usable CPUs + 4): more than the CPUs, as tasks that use
/// threads mostly wait for something.
inline std::size_t default_thread_workers() {
  const std::size_t workers = concurrent::detail::os::usable_cpus() + 4;
  return workers < 32 ? workers : 32;
}

/// Runs callables in a pool of threads.
///
/// Threads start as they are needed, idle ones are used first. Tasks start in the order in which
/// they were submitted, but for `.priority` and `.delay`, and for tasks that a task submitted and
/// has begun to wait for: those that it waits for first start in its own thread, and other threads
/// begin with the last ones. The destructor is shutdown(true): it completes everything that was
/// accepted. Futures outlive their executor.
///
/// **Thread safety** All members may be called from any thread at any time, tasks of the pool
/// included; the destructor from one, also from within a task or a callback of the pool, where it
/// does not wait.
/// **Memory order** What a thread did before submit happens before the task.
/// **Python** concurrent.futures.ThreadPoolExecutor, `with` being a scope. A worker may wait for
/// futures of its own pool (Python deadlocks): it runs what it waits for, and nothing else. Added:
/// post, futures as arguments, stop tokens, TaskOptions, max_pending, wait_idle.
/// **Example**
/// ```
/// ThreadPoolExecutor executor({.max_workers = 4, .thread_name_prefix = "io"});
/// Future<int> answer = executor.submit([](int a, int b) { return a * b; }, 6, 7);
/// std::cout << answer.result();
/// ```
class ThreadPoolExecutor : public ExecutorInterface<ThreadPoolExecutor> {
 public:
  struct Options {
    /// Never more threads than this. @throws std::invalid_argument for 0.
    std::size_t max_workers = default_thread_workers();
    /// Threads are named `prefix_N`, cut to what the system shows. Default: "ThreadPoolExecutor".
    std::string thread_name_prefix{};
    /// Called first in each thread. If it throws, the pool is broken: BrokenThreadPool.
    detail::SharedCallable<void()> initializer{};
    /// How many tasks may wait for a worker; without it, any number. Tasks that the pool's own
    /// workers submit always find room, lest the pool wait for itself.
    std::optional<std::size_t> max_pending{};
    /// What submit does when there are as many.
    WhenFull when_full = WhenFull::block;
  };

  ThreadPoolExecutor() : ThreadPoolExecutor(default_thread_workers()) {}
  explicit ThreadPoolExecutor(std::size_t max_workers)
      : core_(new detail::ThreadPoolCore(checked(max_workers))) {}
  explicit ThreadPoolExecutor(Options options)
      : core_(new detail::ThreadPoolCore(settings_of(std::move(options)))) {}
  ThreadPoolExecutor(const ThreadPoolExecutor&) = delete;
  ThreadPoolExecutor& operator=(const ThreadPoolExecutor&) = delete;
  ~ThreadPoolExecutor() { core_->abandon(); }

  /// Queues `fn(args...)` and returns its future at once. Callable and arguments are copied or
  /// moved as by std::thread (std::ref passes a reference) and destroyed before the outcome is
  /// visible.
  ///
  /// A callable that takes a std::stop_token first gets the one that Future::request_stop speaks
  /// to. Where a callable takes a `T`, a `Future<T>` may be given: the task is queued once that is
  /// done, no worker waits for it, and an exception or a cancellation of it passes on.
  ///
  /// @throws ShutdownError, BrokenThreadPool, QueueFullError; std::bad_alloc and what copying the
  /// arguments throws; std::system_error when not even one thread can be started. Nothing was
  /// accepted then.
  /// **Blocking** only with `.max_pending` and WhenFull::block, until there is room.
  /// **Complexity** O(1), one allocation.
  template <class F, class... Args>
  requires callable_with_copies<F, Args...>
  auto submit(F&& fn, Args&&... args) -> Future<detail::call_result_t<F, Args...>> {
    return launch(NoOptions{}, std::forward<F>(fn), std::forward<Args>(args)...);
  }

  /// The same with options for this task. @throws std::invalid_argument for `.timeout` and
  /// `.max_retries`.
  template <class F, class... Args>
  requires callable_with_copies<F, Args...>
  auto submit(TaskOptions options, F&& fn, Args&&... args)
      -> Future<detail::call_result_t<F, Args...>> {
    return launch(std::move(options), std::forward<F>(fn), std::forward<Args>(args)...);
  }

  /// Queues `fn(args...)` without a future, at less cost. What it throws goes to the unraisable
  /// hook.
  /// @throws as submit.
  template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
  void post(F&& fn, Args&&... args);

  /// Takes no more tasks. What was accepted is still run, unless `cancel_futures` cancels what has
  /// not begun. Idempotent.
  /// @throws Error when a task waits for the end of its own pool, which would wait for the task.
  /// **Blocking** with `wait`, until all threads have ended; delayed tasks and tasks that wait for
  /// futures are waited for.
  void shutdown(bool wait = true, bool cancel_futures = false) {
    if (cancel_futures) core_->close_and_cancel();
    core_->shutdown(wait);
  }

  /// Waits until nothing is queued, delayed or running; false when the time was over first.
  /// **Blocking** until then. @throws Error in a worker of the pool, which is not idle itself.
  bool wait_idle(Timeout timeout = {}) { return core_->wait_idle(timeout.deadline()); }

  [[nodiscard]] std::size_t max_workers() const noexcept { return core_->max_workers(); }

  /// So map reads views (std::span, std::views::iota) where they lie.
  static constexpr bool runs_in_this_process = true;
  /// From map.
  void rouse(detail::MapSubmitted what) noexcept { core_->rouse(what.tasks); }

 private:
  static std::size_t checked(std::size_t max_workers);
  static detail::ThreadPoolCore::Settings settings_of(Options options);
  struct NoOptions {};
  /// Turns .delay into .start_at. @throws std::invalid_argument for what threads do not have.
  template <class TaskSettings>
  static void settle(TaskSettings& options);
  template <class Task>
  void submit_task(Task& task, const TaskOptions* options);
  template <class TaskSettings, class F, class... Args>
  auto launch(TaskSettings options, F&& fn, Args&&... args)
      -> Future<detail::call_result_t<F, Args...>>;
  template <class TaskSettings, class F, class... Args>
  auto launch_dependent(TaskSettings& options, F&& fn, Args&&... args)
      -> Future<detail::call_result_t<F, Args...>>;
  template <class Task, class... Given>
  static Task* make_task(const NoOptions&, Given&&... given) {
    return new Task(std::forward<Given>(given)...);
  }
  template <class Task, class... Given>
  static auto* make_task(TaskOptions& options, Given&&... given) {
    return new detail::WithOptions<Task>(std::move(options), std::forward<Given>(given)...);
  }

  detail::ThreadPoolCore* core_;
};

// Implementation

inline std::size_t ThreadPoolExecutor::checked(std::size_t max_workers) {
  if (max_workers == 0) throw std::invalid_argument("max_workers must be greater than 0");
  return max_workers;
}

inline detail::ThreadPoolCore::Settings ThreadPoolExecutor::settings_of(Options options) {
  using detail::ThreadPoolCore;
  ThreadPoolCore::Settings settings;
  settings.max_workers = checked(options.max_workers);
  settings.thread_name_prefix = std::move(options.thread_name_prefix);
  settings.initializer = std::move(options.initializer);
  if (settings.initializer) settings.run_initializer = &ThreadPoolCore::initialize;
  if (options.max_pending.has_value()) {
    if (*options.max_pending == 0) {
      throw std::invalid_argument("max_pending must be greater than 0");
    }
    settings.max_pending = *options.max_pending;
    settings.when_full = options.when_full;
    settings.push_where_room = &ThreadPoolCore::push_where_room;
  }
  return settings;
}

template <class TaskSettings>
void ThreadPoolExecutor::settle(TaskSettings& options) {
  using Clock = std::chrono::steady_clock;
  if (!options.timeout.forever()) {
    throw std::invalid_argument(
        "a thread cannot be killed: .timeout is for the tasks of a ProcessPoolExecutor");
  }
  if (options.max_retries != 0) {
    throw std::invalid_argument(
        "threads do not die: .max_retries is for the tasks of a ProcessPoolExecutor");
  }
  if (options.delay <= options.delay.zero()) return;
  const auto now = Clock::now();
  const auto most = Clock::time_point(Clock::duration(INT64_MAX - 1));
  const auto after = options.delay < most - now ? now + options.delay : most;
  if (after > options.start_at) options.start_at = after;
}

template <class Task>
void ThreadPoolExecutor::submit_task(Task& task, const TaskOptions* options) {
  if (options->priority == 0 && options->start_at == std::chrono::steady_clock::time_point{}) {
    core_->submit(task);
    return;
  }
  if (options->start_at > std::chrono::steady_clock::now()) task.will_be_delayed(*core_);
  core_->submit_ordered(task, options->priority, options->start_at);
}

template <class TaskSettings, class F, class... Args>
auto ThreadPoolExecutor::launch(TaskSettings options, F&& fn, Args&&... args)
    -> Future<detail::call_result_t<F, Args...>> {
  using R = detail::call_result_t<F, Args...>;
  constexpr bool has_options = !std::is_same_v<TaskSettings, NoOptions>;
  constexpr detail::CallKind kind = detail::call_kind<F, Args...>();
  if constexpr (has_options) settle(options);
  if constexpr (kind == detail::CallKind::plain || kind == detail::CallKind::stop) {
    using Task =
        std::conditional_t<kind == detail::CallKind::plain,
                           detail::Task<R, std::decay_t<F>, std::decay_t<Args>...>,
                           detail::StoppableTask<R, std::decay_t<F>, std::decay_t<Args>...>>;
    auto* const task = make_task<Task>(options, std::forward<F>(fn), std::forward<Args>(args)...);
    try {
      if constexpr (has_options) {
        submit_task(*task, task->options());
      } else {
        core_->submit(*task);
      }
    } catch (...) {
      detail::ThreadPoolCore::drop_refused(*task, 2);
      throw;
    }
    return detail::FutureAccess::adopt<R>(task);
  } else if constexpr (has_options) {
    if (options.start_at <= std::chrono::steady_clock::now()) {
      return launch_dependent(options, std::forward<F>(fn), std::forward<Args>(args)...);
    }
    // Its time is one more thing that it waits for.
    Future<void> timer = launch(TaskOptions{.start_at = options.start_at}, [] {});
    Future<R> future = detail::FutureAccess::adopt<R>(nullptr);
    try {
      future = launch_dependent(options, std::forward<F>(fn), std::forward<Args>(args)..., timer);
    } catch (...) {
      timer.cancel();
      throw;
    }
    try {
      future.add_done_callback([timer](const Future<R>&) mutable { timer.cancel(); });
    } catch (const std::bad_alloc&) {  // then the timer runs on, for nothing
    }
    return future;
  } else {
    return launch_dependent(options, std::forward<F>(fn), std::forward<Args>(args)...);
  }
}

template <class TaskSettings, class F, class... Args>
auto ThreadPoolExecutor::launch_dependent(TaskSettings& options, F&& fn, Args&&... args)
    -> Future<detail::call_result_t<F, Args...>> {
  using R = detail::call_result_t<F, Args...>;
  constexpr bool stoppable = detail::call_kind<F, Args...>() == detail::CallKind::unwrapped_stop;
  using Task = detail::DependentTask<stoppable, R, std::decay_t<F>, Args...>;
  auto* const task = make_task<Task>(options, std::forward<F>(fn), std::forward<Args>(args)...);
  try {
    task->start(*core_);
  } catch (...) {
    task->discard();
    task->destroy();
    throw;
  }
  return detail::FutureAccess::adopt<R>(task);
}

template <class F, class... Args>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
void ThreadPoolExecutor::post(F&& fn, Args&&... args) {
  using Task = detail::PostedTask<std::decay_t<F>, std::decay_t<Args>...>;
  auto* const task = new Task(std::forward<F>(fn), std::forward<Args>(args)...);
  try {
    core_->submit(*task);
  } catch (...) {
    detail::ThreadPoolCore::drop_refused(*task, 1);
    throw;
  }
}

}  // namespace concurrent::futures
