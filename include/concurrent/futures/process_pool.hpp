// SPDX-License-Identifier: MIT
#pragma once

// ProcessPoolExecutor. Counterpart: concurrent.futures.ProcessPoolExecutor.

#include <signal.h>

#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/futures/detail/process/call_kind.hpp>
#include <concurrent/futures/detail/process/dependent_call.hpp>
#include <concurrent/futures/detail/process/engine.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <concurrent/futures/detail/process/remote_call.hpp>
#include <concurrent/futures/executor.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/task_options.hpp>
#include <concurrent/multiprocessing/exceptions.hpp>
#include <concurrent/multiprocessing/freeze_support.hpp>
#include <concurrent/multiprocessing/start_method.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures {

using multiprocessing::RemoteError;
using multiprocessing::StartMethod;

/// Runs callables in a pool of worker processes.
///
/// Workers start as they are needed, and idle ones are used first. A worker that has shown to be
/// fast is given tasks ahead; when one of them takes longer than about a millisecond, those behind
/// it go to other workers, so a long one holds no short one behind it. Whatever no worker has begun
/// can be cancelled. Tasks are handed out in the order in which they were submitted (but for
/// `.priority` and `.delay`), and an idle worker gets the oldest that none has begun; only those
/// given ahead to different workers may begin about a millisecond out of order. The destructor is
/// shutdown(true): it completes everything that was accepted. Futures outlive their executor.
///
/// What crosses to a worker and back: see multiprocessing::can_cross_process_boundary and
/// callable_can_cross_process_boundary; what does not, does not compile. An argument or a result
/// whose `serialize` throws fails its own future only. What is large travels through memory that
/// the pool shares with its workers: addresses are reserved for it (a TiB for the program, 64 GiB
/// for each pool, less where they are limited), and pages as they are used.
///
/// Exceptions come back as the same type with the same message when they are the standard's, this
/// library's, or registered (multiprocessing::register_exception), else as RemoteError.
/// multiprocessing::remote_origin tells the worker's pid.
///
/// A worker that dies breaks the pool: every unfinished future gets a BrokenProcessPool that says
/// which process died of what, and so does every later submit. What had finished is kept. With
/// OnWorkerDeath::restart only the task that it ran fails, by WorkerDied, or is run again.
///
/// Workers are forked by a small process that is itself forked here, in the constructor: they see
/// everything that the program had then. As with any fork, a lock that another thread held at that
/// moment stays locked in the workers: the library takes none there, and the C library's own
/// (malloc, stdio) are made usable; a task that needs another one (a logger's, say) finds out. Make
/// pools before threads where that matters, or spawn.
///
/// With StartMethod::spawn that small process is the program started anew, once for a pool. It runs
/// the static constructors and what main does before freeze_support (see there), and nothing else;
/// that is all that workers see, beside the environment and the current folder. No lock and no
/// memory of this process is theirs, and of its descriptors only the standard streams. An exception
/// keeps its type when it was registered in static initialisation or before freeze_support. The
/// code of such a process may lie elsewhere: functions and pointers to member functions are
/// translated on their way, when they belong to the program or to a library that both processes had
/// loaded when the pool was made, but not inside of a class that crosses as a copy of its bytes.
/// Static constructors had better start no threads, which would be left behind in the small
/// process.
///
/// Workers have no standard input and no terminal, signals do what they do by default, and each has
/// a process group of its own: Ctrl-C does not reach it. They end with this process, however it
/// ends.
///
/// Threads that submit, or wait in `result` or `exception`, fetch results of this pool as they go,
/// and so may read (`load`) results of other tasks than their own; callbacks are left to a thread
/// of the pool's.
///
/// **Thread safety** All members may be called from any thread at any time; the destructor from
/// one, also from within a done-callback, where it does not wait.
/// **Memory order** With `fork`, what a thread did before the constructor is seen by every task,
/// later changes by none: the memory is a copy. With `spawn`, nothing is.
/// **Python** concurrent.futures.ProcessPoolExecutor, `with` being a scope. Arguments are written
/// in submit already, and what that throws goes to the future. `.initializer` is a std::function,
/// so its arguments (initargs) are what it captures. max_tasks_per_child works with every start
/// method. `spawn` starts one process for a pool, from which its workers are forked, as Python's
/// `forkserver` does; Python's `spawn` starts one for each worker. There main is imported anew,
/// here freeze_support keeps it from running. Added: post, futures as arguments, TaskOptions (with
/// `.timeout` and `.max_retries`), on_worker_death, Future::cancel_running, limits, sandbox,
/// max_pending, wait_idle.
/// **Example**
/// ```
/// ProcessPoolExecutor executor({.max_workers = 4});
/// Future<int> answer = executor.submit([](int a, int b) { return a * b; }, 6, 7);
/// std::cout << answer.result();
/// ```
class ProcessPoolExecutor : public ExecutorInterface<ProcessPoolExecutor> {
 public:
  struct Options {
    /// Never more workers than this. @throws std::invalid_argument for 0.
    std::size_t max_workers = concurrent::detail::os::usable_cpus();
    /// Called first in each worker. If it throws, the pool is broken: BrokenProcessPool.
    /// @throws std::invalid_argument with StartMethod::spawn, when it is no plain function:
    /// captures cannot be sent, but `+[] {...}` can.
    std::function<void()> initializer{};
    /// A worker that has done so many tasks ends, and a fresh one takes its place when there is
    /// work. @throws std::invalid_argument for 0.
    std::optional<std::size_t> max_tasks_per_child{};
    /// With `spawn`, main must begin with multiprocessing::freeze_support(argc, argv).
    /// @throws std::logic_error when it has not.
    StartMethod start_method = StartMethod::fork;
    /// What becomes of the pool when a worker dies that nobody has told to end.
    OnWorkerDeath on_worker_death = OnWorkerDeath::break_pool;
    /// What each worker may use.
    WorkerLimits limits{};
    /// For code that reads untrusted data: once its initializer has run, a worker, and all that it
    /// forks, can open no file, make no socket, start no program and signal nobody; the calls fail
    /// with EPERM. What the program had open is closed in workers anyway. @throws BrokenProcessPool
    /// later on, where the system has no such thing (it takes Linux's seccomp).
    bool sandbox = false;
    /// How many tasks may wait for a worker, delayed ones not counted; without it, any number.
    /// Tasks that a done-callback submits always find room, lest the pool wait for itself.
    std::optional<std::size_t> max_pending{};
    /// What submit does when there are as many.
    WhenFull when_full = WhenFull::block;
  };

  /// Takes four descriptors of this process, and three more for each worker that is there.
  /// @throws std::invalid_argument; std::system_error when there are no descriptors, processes or
  /// threads left. Nothing is left behind then.
  ProcessPoolExecutor() : ProcessPoolExecutor(Options{}) {}
  explicit ProcessPoolExecutor(std::size_t max_workers)
      : ProcessPoolExecutor(Options{.max_workers = max_workers}) {}
  explicit ProcessPoolExecutor(Options options);
  ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
  ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
  ~ProcessPoolExecutor() { engine_->abandon(); }

  /// Queues `fn(args...)` and returns its future at once.
  ///
  /// Where a callable takes a `T`, a `Future<T>` may be given: the task is sent once that is done,
  /// no worker waits for it, and an exception or a cancellation of it passes on.
  ///
  /// @throws ShutdownError, BrokenProcessPool, QueueFullError, std::bad_alloc; std::logic_error in
  /// a process that was forked from the pool's. What an argument's `serialize` throws goes to the
  /// future.
  /// **Blocking** only with `.max_pending` and WhenFull::block, until there is room.
  template <class F, class... Args>
  requires callable_with_copies<F, Args...>
  auto submit(F&& fn, Args&&... args) -> Future<detail::process::call_result_t<F, Args...>> {
    return launch(nullptr, std::forward<F>(fn), std::forward<Args>(args)...);
  }

  /// The same with options for this task. With `.timeout`, the worker is killed when the task runs
  /// for longer, and the future gets TimeoutError; other tasks are not affected.
  template <class F, class... Args>
  requires callable_with_copies<F, Args...>
  auto submit(TaskOptions options, F&& fn, Args&&... args)
      -> Future<detail::process::call_result_t<F, Args...>> {
    return launch(std::make_unique<TaskOptions>(std::move(options)), std::forward<F>(fn),
                  std::forward<Args>(args)...);
  }

  /// Queues `fn(args...)` without a future. What it throws, and that the pool broke before it was
  /// run, goes to the unraisable hook; its result is dropped. @throws as submit, and what an
  /// argument's `serialize` throws.
  template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
  void post(F&& fn, Args&&... args);

  /// Takes no more tasks. What was accepted is still run, unless `cancel_futures` cancels what has
  /// not begun. Idempotent.
  /// @throws std::system_error in a done-callback of one of the pool's futures, which would wait
  /// for itself.
  /// **Blocking** with `wait`, until all workers have ended.
  void shutdown(bool wait = true, bool cancel_futures = false) {
    engine_->shutdown(wait, cancel_futures);
  }

  /// Ends all workers at once by SIGTERM and starts no more. What was running gets
  /// BrokenProcessPool, what was queued is cancelled, later submits throw ShutdownError. A task
  /// that blocks or handles SIGTERM goes on. Does not wait; harmless when nothing runs.
  void terminate_workers() { engine_->stop_workers(SIGTERM, "terminate_workers()"); }
  /// The same by SIGKILL, which no task survives.
  void kill_workers() { engine_->stop_workers(SIGKILL, "kill_workers()"); }

  /// Waits until nothing is queued, delayed or running; false when the time was over first.
  /// **Blocking** until then. @throws std::system_error in a done-callback of the pool.
  bool wait_idle(Timeout timeout = {}) { return engine_->wait_idle(timeout.deadline()); }

  [[nodiscard]] std::size_t max_workers() const noexcept { return max_workers_; }

 private:
  static detail::process::EngineOptions checked(Options options);
  static void check_spawn(const Options& options);
  template <class F, class... Args>
  auto launch(std::unique_ptr<const TaskOptions> options, F&& fn, Args&&... args)
      -> Future<detail::process::call_result_t<F, Args...>>;
  template <class R, class F, class... Args>
  static Future<R> run_here(F&& fn, Args&&... args);

  std::size_t max_workers_;
  std::shared_ptr<detail::process::Engine> engine_;
};

// Implementation

inline detail::process::EngineOptions ProcessPoolExecutor::checked(Options options) {
  if (options.max_workers == 0) {
    throw std::invalid_argument("max_workers must be greater than 0");
  }
  if (options.max_tasks_per_child == std::size_t{0}) {
    throw std::invalid_argument("max_tasks_per_child must be >= 1");
  }
  if (options.max_pending == std::size_t{0}) {
    throw std::invalid_argument("max_pending must be greater than 0");
  }
  if (options.limits.cpu_time && options.limits.cpu_time->count() <= 0) {
    throw std::invalid_argument("limits.cpu_time must be at least 1 second");
  }
  if (options.start_method == StartMethod::spawn) check_spawn(options);
  return {.max_workers = options.max_workers,
          .worker = {.initializer = std::move(options.initializer),
                     .max_tasks = options.max_tasks_per_child.value_or(0),
                     .limits = options.limits,
                     .sandbox = options.sandbox},
          .max_pending = options.max_pending.value_or(0),
          .when_full = options.when_full,
          .on_worker_death = options.on_worker_death,
          .start_method = options.start_method};
}

inline void ProcessPoolExecutor::check_spawn(const Options& options) {
  if (multiprocessing::detail::spawned_program.program_name == nullptr) {
    throw std::logic_error(
        "StartMethod::spawn starts the program anew, so main(int argc, char** argv) must begin "
        "with concurrent::multiprocessing::freeze_support(argc, argv);");
  }
  if (options.initializer && detail::process::plain_function(options.initializer) == nullptr) {
    throw std::invalid_argument(
        "with StartMethod::spawn the initializer must be a plain function, or a lambda that "
        "captures nothing with a + in front: +[] {...}");
  }
}

inline ProcessPoolExecutor::ProcessPoolExecutor(Options options)
    : max_workers_(options.max_workers) {
  engine_ = std::make_shared<detail::process::Engine>(checked(std::move(options)));
  engine_->start();
}

template <class F, class... Args>
auto ProcessPoolExecutor::launch(std::unique_ptr<const TaskOptions> options, F&& fn, Args&&... args)
    -> Future<detail::process::call_result_t<F, Args...>> {
  namespace process = detail::process;
  using Function = std::decay_t<F>;
  using R = process::call_result_t<F, Args...>;
  if constexpr (process::check_call<F, Args...>()) {
    if constexpr (process::calls_with_values<F, Args...>) {
      using Call = process::DependentCall<R, Function, std::decay_t<Args>...>;
      return std::make_shared<Call>(engine_, std::move(options), std::forward<F>(fn),
                                    std::forward<Args>(args)...)
          ->start();
    } else {
      engine_->check_open_now();
      if (engine_->leaves_it_to_callers()) {
        return run_here<R>(std::forward<F>(fn), std::forward<Args>(args)...);
      }
      auto* const state = new process::FutureTask<R>(engine_);
      process::PoolTaskPtr task(state);
      Future<R> future = detail::FutureAccess::adopt<R>(state);
      task->set_options(std::move(options));
      task->begin_request(engine_->arena());
      try {
        process::RemoteCall<R, Function, std::decay_t<Args>...>::write(task->request, fn, args...);
      } catch (...) {
        future.set_exception(std::current_exception());
        return future;
      }
      engine_->submit(std::move(task));
      return future;
    }
  } else {
    return Future<R>();
  }
}

/// With copies, as in a worker.
template <class R, class F, class... Args>
Future<R> ProcessPoolExecutor::run_here(F&& fn, Args&&... args) {
  Future<R> future;
  future.set_running_or_notify_cancel();
  try {
    const auto call = [&]() -> R {
      if constexpr (std::is_void_v<R>) {
        static_cast<void>(std::invoke(std::decay_t<F>(std::forward<F>(fn)),
                                      std::decay_t<Args>(std::forward<Args>(args))...));
      } else {
        return std::invoke(std::decay_t<F>(std::forward<F>(fn)),
                           std::decay_t<Args>(std::forward<Args>(args))...);
      }
    };
    if constexpr (std::is_void_v<R>) {
      call();
      future.set_result();
    } else {
      future.set_result(call());
    }
  } catch (...) {
    future.set_exception(std::current_exception());
  }
  return future;
}

template <class F, class... Args>
requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
void ProcessPoolExecutor::post(F&& fn, Args&&... args) {
  namespace process = detail::process;
  if constexpr (process::check_callable<std::decay_t<F>>() &&
                (process::check_argument<std::decay_t<Args>>() && ...)) {
    engine_->check_open_now();
    if constexpr ((std::is_constructible_v<std::decay_t<Args>, Args> && ...)) {
      if (engine_->leaves_it_to_callers()) {
        const auto done = run_here<void>(std::forward<F>(fn), std::forward<Args>(args)...);
        if (const auto error = done.exception()) report_unraisable(error, "a posted task");
        return;
      }
    }
    process::PoolTaskPtr task(new process::UnwatchedTask);
    task->begin_request(engine_->arena());
    // Its result is of no interest, so it need not cross.
    process::RemoteCall<void, std::decay_t<F>, std::decay_t<Args>...>::write(task->request, fn,
                                                                             args...);
    engine_->submit(std::move(task));
  }
}

}  // namespace concurrent::futures
