// SPDX-License-Identifier: MIT
#pragma once

// The engine of ThreadPoolExecutor: queues, workers, and how they start, sleep, wait and end.
//
// Order. What comes from outside goes into one queue, first in, first out. What a worker's task
// submits goes into that worker's own deque, with a ticket that says how much had come from outside
// by then; a worker takes its own oldest task as soon as everything before it has been taken. So
// one worker runs everything in the order of submission, and several start everything from outside
// in that order.
//
// Waiting. A worker that waits for a task of its pool runs that task in place, if nobody has begun
// it. It runs nothing else, so no lock that it holds can be needed by what it runs, except by what
// it waits for anyway. As it blocks only on tasks that run elsewhere, and these in turn block only
// on such, a deadlock needs a cycle in what the program itself waits for.
//
// Ending. Closing is an event in the queue (under the producers' lock), so a task is either
// accepted and will be run or cancelled, or refused. Workers leave when the pool is closed and
// nothing is queued, delayed, or waiting for futures.

#include <atomic>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/threads.hpp>
#include <concurrent/futures/detail/delayed_tasks.hpp>
#include <concurrent/futures/detail/dependent_task.hpp>
#include <concurrent/futures/detail/helper.hpp>
#include <concurrent/futures/detail/shared_callable.hpp>
#include <concurrent/futures/detail/sleepers.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/detail/task_queue.hpp>
#include <concurrent/futures/detail/work_deque.hpp>
#include <concurrent/futures/errors.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace concurrent::futures {

/// What submit does when an executor with `.max_pending` is full.
enum class WhenFull {
  block,          ///< wait until there is room
  throw_error,    ///< throw QueueFullError
  run_in_caller,  ///< run the task at once, in the thread that submits it
};

}  // namespace concurrent::futures

namespace concurrent::futures::detail {

class ThreadPoolCore;

/// One thread of a pool.
class Worker final : public Helper {
 public:
  Worker(ThreadPoolCore& pool, std::size_t index) : pool_(pool), index_(index) {}

  Help run_one_for(StateBase& target) noexcept override;
  bool wait(StateBase& target, Deadline deadline) noexcept override;
  void block_on(std::atomic<std::uint32_t>& word) noexcept override;
  void unblock() noexcept override;

  /// The thread's whole life.
  void main() noexcept;
  /// Takes over a reference. The owner only.
  void push(StateBase& task);
  /// Wakes the worker if it sleeps on a word, because a task it may be waiting for can be run now.
  void wake_from_wait() noexcept;

  std::thread thread;  // guarded by the pool's joining mutex

 private:
  friend class ThreadPoolCore;

  bool initialize() noexcept;
  StateBase* next() noexcept;
  StateBase* next_own(bool only_if_due) noexcept;
  void run(StateBase& task) noexcept;
  void run_claimed(StateBase& task) noexcept;
  bool take_from_bottom(StateBase& target) noexcept;
  void begin_search() noexcept;
  void end_search() noexcept;
  StateBase* search() noexcept;
  bool sleep() noexcept;

  ThreadPoolCore& pool_;
  std::size_t index_;
  bool searching_ = false;
  WorkDeque<StateBase> deque_;
  Sleepers::Seat seat_;
  std::mutex blocked_mutex_;
  std::atomic<std::uint32_t>* blocked_on_ = nullptr;  // guarded by blocked_mutex_
};

/// A pool's shared part: owned by the executor, by each thread, and by tasks that wait for futures.
class ThreadPoolCore final : private WaitingRoom {
 public:
  struct Settings {
    std::size_t max_workers = 1;
    std::string thread_name_prefix;
    SharedCallable<void()> initializer;
    std::size_t max_pending = 0;  // 0: unbounded
    WhenFull when_full = WhenFull::block;
  };

  static ThreadPoolCore* make(Settings settings) { return new ThreadPoolCore(std::move(settings)); }
  ThreadPoolCore(const ThreadPoolCore&) = delete;
  ThreadPoolCore& operator=(const ThreadPoolCore&) = delete;

  /// Takes a new task over (its reference for the queue), or throws and leaves it to the caller, to
  /// be dropped with `drop_refused`.
  void submit(StateBase& task);
  void submit(StateBase& task, const TaskOptions& options);
  static void drop_refused(StateBase& task, int references) noexcept;
  WaitingRoom& waiting_room() noexcept { return *this; }

  void shutdown(bool wait, bool cancel_futures);
  /// False: the deadline passed first.
  bool wait_idle(Deadline deadline);
  /// From the executor's destructor.
  void abandon() noexcept;
  void release() noexcept;
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  [[nodiscard]] bool is_worker_thread() const noexcept { return current_worker() != nullptr; }

 private:
  friend class Worker;
  using Queue = TaskQueue<StateBase>;
  using Clock = Deadline::Clock;
  enum class Standing : std::uint32_t { open, shut, broken };

  explicit ThreadPoolCore(Settings settings)
      : settings_(std::move(settings)),
        spinning_turns_(concurrent::detail::os::usable_cpus() > 1 ? 200 : 0),  // about 10 us
        workers_(new std::atomic<Worker*>[settings_.max_workers]()) {}
  ~ThreadPoolCore() override;

  [[nodiscard]] Worker* current_worker() const noexcept;
  void push(StateBase& task);
  void push_at(Clock::time_point start, StateBase& task);
  template <class TryPush>
  bool push_where_room(StateBase& task, TryPush try_push);
  [[nodiscard]] bool push_prioritized(StateBase& task, int priority, std::size_t limit);
  static void run_here(StateBase& task) noexcept;
  void move_due() noexcept;
  void accept(StateBase& task) noexcept;
  [[noreturn]] void refuse() const;

  void notify() noexcept;
  bool start_worker(std::exception_ptr* failure = nullptr) noexcept;
  void ensure_worker(StateBase& task);
  static bool revoke(StateBase& task) noexcept;
  [[nodiscard]] bool has_work() const noexcept;
  [[nodiscard]] bool may_leave() const noexcept;
  [[nodiscard]] bool is_idle() noexcept;
  void tell_idle_waiters() noexcept;
  StateBase* steal(std::size_t thief) noexcept;
  void made_room() noexcept;
  void close(Standing standing) noexcept;
  void break_pool(const std::exception_ptr& error) noexcept;
  template <class Drop>
  void drain(Drop drop) noexcept;
  void join() noexcept;
  void worker_left() noexcept;

  // WaitingRoom
  void enter(WaitingTask& task) override;
  void leave(WaitingTask& task) noexcept override;
  void enqueue(StateBase& task) noexcept override;
  void keep_alive() noexcept override;
  void let_go() noexcept override { release(); }

  static constexpr Clock::time_point no_time = (Clock::time_point::max)();

  const Settings settings_;
  const int spinning_turns_;
  Queue queue_;
  PriorityTasks prioritized_;
  DelayedTasks delayed_;
  Sleepers sleepers_;
  std::atomic<Standing> standing_{Standing::open};
  std::string why_broken_;  // written before standing_ becomes broken

  std::unique_ptr<std::atomic<Worker*>[]> workers_;  // filled from the front, never emptied
  std::atomic<std::size_t> started_{0};
  std::atomic<std::size_t> live_{0};
  std::mutex starting_;  // one new worker at a time
  std::mutex joining_;

  std::mutex waiting_mutex_;
  WaitingTask* waiting_ = nullptr;  // tasks that wait for futures; guarded by waiting_mutex_
  std::atomic<std::size_t> waiting_count_{0};

  std::atomic<Clock::time_point::rep> alarm_{no_time.time_since_epoch().count()};
  std::atomic<std::size_t> in_callers_{0};  // tasks that run in a thread that submitted them
  std::atomic<std::uint32_t> blocked_submits_{0};
  std::atomic<std::uint32_t> room_{0};  // futex word: changes when room was made
  std::atomic<std::uint32_t> idle_waiters_{0};
  std::atomic<std::uint32_t> idle_epoch_{0};  // futex word: changes when the pool may be idle
  std::atomic<std::size_t> references_{1};

  inline static constinit thread_local Worker* current_worker_ = nullptr;
};

}  // namespace concurrent::futures::detail
