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
// it waits for anyway. Nor does it take what the task that it waits for has submitted to the worker
// that runs it (leapfrogging): that task need not wait for all that it submits. As it blocks only
// on tasks that run elsewhere, and these in turn block only on such, a deadlock needs a cycle in
// what the program itself waits for. What a waiting task submitted after what it waits for is
// turned round in the deque (Worker::take_sibling), so that thieves begin at the other end.
//
// Ending. Closing is an event in the queue (under the producers' lock), so a task is either
// accepted and will be run or cancelled, or refused. Workers leave when the pool is closed and
// nothing is queued, delayed, or waiting for futures.

#include <atomic>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/spin_wait.hpp>
#include <concurrent/detail/os/threads.hpp>
#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/helper.hpp>
#include <concurrent/futures/detail/shared_callable.hpp>
#include <concurrent/futures/detail/sleepers.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/detail/task_queue.hpp>
#include <concurrent/futures/detail/work_deque.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/when_full.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace concurrent::futures::detail {

class ThreadPoolCore;

/// One thread of a pool.
class Worker final : public Helper {
 public:
  Worker(ThreadPoolCore& pool, std::size_t index) : pool_(pool), index_(index) {}

  // Already here: with a key function that is not inline, every file that includes this would
  // compile the whole engine for its virtual table.
  CONCURRENT_INLINE Help run_one_for(StateBase& target) noexcept override;
  CONCURRENT_INLINE bool wait(StateBase& target, Deadline deadline) noexcept override;
  CONCURRENT_INLINE void block_on(std::atomic<std::uint32_t>& word) noexcept override;
  CONCURRENT_INLINE void unblock() noexcept override;
  CONCURRENT_INLINE Deadline wake_by(Deadline deadline) noexcept override;

  /// The thread's whole life.
  void live() noexcept;
  /// Takes over a reference. The owner only.
  void push(StateBase& task);
  /// Wakes the worker if it sleeps on a word, because a task it may be waiting for can be run now.
  void wake_from_wait() noexcept;

  std::thread thread;  // guarded by the pool's joining mutex

 private:
  friend class ThreadPoolCore;

  StateBase* next() noexcept;
  StateBase* next_own(bool only_if_due) noexcept;
  void run(StateBase& task) noexcept;
  void begin_search_early() noexcept;
  void destroy(StateBase& task, Phase outcome) noexcept;
  void run_claimed(StateBase& task) noexcept;
  bool take_newest(StateBase& target) noexcept;
  bool take_sibling(StateBase& target) noexcept;
  void turn_round() noexcept;
  void show_again() noexcept;
  bool claim_in_place(StateBase& target) noexcept;
  void drop_left_behind() noexcept;
  void drop(StateBase& task) noexcept;
  Help run_one_for_deeper(StateBase& target) noexcept;
  bool wait_for_innermost(StateBase& target, Deadline deadline) noexcept;
  bool is_delayed(StateBase& task) noexcept;
  void begin_search() noexcept;
  void end_search() noexcept;
  bool falls_into_step() noexcept;
  StateBase* search() noexcept;
  bool sleep() noexcept;

  ThreadPoolCore& pool_;
  std::size_t index_;
  bool searching_ = false;
  bool has_slept_ = false;  // and has not searched since
  // Staying away from a queue that is emptied as fast as it is filled (falls_into_step)
  static constexpr std::uint32_t least_patience = 2;
  std::uint64_t popped_before_ = 0;  // when the queue ran dry last
  std::uint32_t short_runs_ = 0;     // one after the other
  std::uint32_t patience_ = least_patience;
  bool stays_away_ = false;  // in its next search
  bool was_away_ = false;    // in its last search
  // How many entries take_sibling may still look at: so many for each push that its cost is O(1) a
  // task, in whatever order tasks are waited for.
  static constexpr std::int64_t looks_per_push = 8;
  std::int64_t looks_left_ = 0;
  // About how many tasks were run where they lay, in queues of which nobody has dropped them since,
  // and the last one of them (only compared: it may be gone).
  static constexpr std::int64_t most_left_behind = 64;
  std::int64_t left_behind_ = 0;
  const StateBase* last_left_behind_ = nullptr;
  WorkDeque<StateBase> deque_;
  Sleepers::Seat seat_;
  std::mutex blocked_mutex_;
  std::atomic<std::uint32_t>* blocked_on_ = nullptr;  // guarded by blocked_mutex_
};

/// Tasks in an order of their own: those with a priority other than 0, and those that start later.
/// A pool has one only once such a task was submitted (ordered_tasks.hpp).
class OrderedTasks {
 public:
  using Clock = Deadline::Clock;
  static constexpr Clock::time_point no_time{Clock::duration{INT64_MAX}};

  OrderedTasks() = default;
  OrderedTasks(const OrderedTasks&) = delete;
  OrderedTasks& operator=(const OrderedTasks&) = delete;
  virtual ~OrderedTasks() = default;

  /// Takes over a reference; the task can start now.
  virtual void add(StateBase& task, int priority) = 0;
  /// Takes over a reference; the task can start then.
  virtual void add(StateBase& task, int priority, Clock::time_point start) = 0;
  /// The task with the highest priority, if that is above 0. Queues what has become due first.
  virtual StateBase* next_urgent() noexcept = 0;
  /// The task with the highest priority.
  virtual StateBase* next() noexcept = 0;
  /// Queues what has become due. A task is owned by this until then, and by the pool afterwards.
  virtual void move_due() noexcept = 0;
  /// Any task, also one that is not due.
  virtual StateBase* take() noexcept = 0;
  /// Whether next() would give a task now.
  [[nodiscard]] virtual bool ready() const noexcept = 0;
  [[nodiscard]] virtual bool empty() const noexcept = 0;
  /// How many tasks could start now.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;
  /// When the earliest task that is not due yet will be.
  [[nodiscard]] virtual Clock::time_point first_due() const noexcept = 0;
  /// A delayed task will not run after all. Once there are many, they are dropped; when there are
  /// no others, at once.
  virtual void withdrawn() noexcept = 0;
};

/// A task that waits for futures, in its pool's list until it can be queued.
class WaitingTask {
 public:
  WaitingTask() = default;
  WaitingTask(const WaitingTask&) = delete;
  WaitingTask& operator=(const WaitingTask&) = delete;
  [[nodiscard]] virtual StateBase& as_state() noexcept = 0;

 protected:
  virtual ~WaitingTask() = default;

 private:
  friend class ThreadPoolCore;
  WaitingTask* previous_ = nullptr;  // guarded by the pool's mutex
  WaitingTask* next_ = nullptr;      // guarded by the pool's mutex
};

/// A pool's shared part: owned by the executor, by each thread, and by tasks that wait for futures.
///
/// What only some programs use (an initializer, a bounded queue, ordered tasks, tasks that wait for
/// futures) hangs on pointers that are set where it is asked for, so that other programs do not
/// even compile it.
class ThreadPoolCore final {
 public:
  using Queue = TaskQueue<StateBase>;
  using Clock = Deadline::Clock;

  /// Queues a task unless as many are queued already: then false.
  using TryPush = bool (*)(ThreadPoolCore& pool, StateBase& task, std::size_t limit);

  struct Settings {
    std::size_t max_workers = 1;
    std::string thread_name_prefix{};  // empty: the default
    SharedCallable<void()> initializer{};
    bool (*run_initializer)(ThreadPoolCore&) noexcept = nullptr;
    std::size_t max_pending = 0;  // 0: unbounded
    WhenFull when_full = WhenFull::block;
    bool (*push_where_room)(ThreadPoolCore&, StateBase&, TryPush) = nullptr;
  };

  explicit ThreadPoolCore(std::size_t max_workers);
  explicit ThreadPoolCore(Settings&& settings);
  ThreadPoolCore(const ThreadPoolCore&) = delete;
  ThreadPoolCore& operator=(const ThreadPoolCore&) = delete;

  /// Takes a new task over (its reference for the queue), or throws and leaves it to the caller, to
  /// be dropped with `drop_refused`.
  void submit(StateBase& task);
  static void drop_refused(StateBase& task, int references) noexcept;
  [[noreturn]] void refuse() const;
  /// Wakes workers for so many tasks that were just submitted, as many as there are processors,
  /// where `submit` has the first one wake the second: for tasks of which each is worth a worker.
  void rouse(std::size_t tasks) noexcept;

  void shutdown(bool wait);
  void close_and_cancel() noexcept;
  /// Cancels what a cancelling end may have overlooked.
  void cancel_if_cancelling() noexcept;
  /// False: the deadline passed first.
  bool wait_idle(Deadline deadline);
  /// From the executor's destructor.
  void abandon() noexcept;
  [[nodiscard]] std::size_t max_workers() const noexcept { return settings_.max_workers; }
  [[nodiscard]] bool is_worker_thread() const noexcept { return current_worker() != nullptr; }

  // Ordered tasks (ordered_tasks.hpp)
  template <class TasksQueue = Queue>
  OrderedTasks& ordered_tasks();
  template <class TasksQueue = Queue>
  void submit_ordered(StateBase& task, int priority, Clock::time_point start);
  template <class TasksQueue = Queue>
  void task_withdrawn() noexcept;

  // Tasks that wait for futures (dependent_task.hpp)
  /// @throws ShutdownError, BrokenThreadPool
  void enter(WaitingTask& task);
  void leave(WaitingTask& task) noexcept;
  /// Queues a task that was accepted before, taking over a reference.
  template <class TasksQueue = Queue>
  void enqueue(StateBase& task) noexcept;
  void keep_alive() noexcept;
  void release() noexcept;

  // What settings point to
  static bool initialize(ThreadPoolCore& pool) noexcept;
  /// By `try_push`, or if that is null as `submit` does. False: the task was run right here.
  static bool push_where_room(ThreadPoolCore& pool, StateBase& task, TryPush try_push);

 private:
  friend class Worker;
  enum class Standing : std::uint32_t { open, shut, broken };
  using Drop = void (*)(StateBase& task, const std::exception_ptr& why);

  ~ThreadPoolCore();

  [[nodiscard]] Worker* current_worker() const noexcept;
  template <class TasksQueue>
  static bool push_ordered(ThreadPoolCore& pool, StateBase& task, std::size_t limit);
  static bool try_push(ThreadPoolCore& pool, StateBase& task, std::size_t limit);
  void wake_waiting_workers() noexcept;
  void wait_for_room(std::uint32_t epoch) noexcept;
  void run_here(StateBase& task) noexcept;
  void made_room() noexcept;

  void notify() noexcept;
  bool start_worker(std::exception_ptr* failure = nullptr) noexcept;
  void ensure_worker(StateBase& task);
  void start_first_worker(StateBase& task);
  static bool revoke(StateBase& task) noexcept;
  StateBase* steal(std::size_t thief) noexcept;
  void worker_left() noexcept;

  [[nodiscard]] OrderedTasks* ordered() const noexcept {
    return ordered_.load(std::memory_order_acquire);  // pairs with ordered_tasks()
  }
  [[nodiscard]] bool has_work() const noexcept;
  [[nodiscard]] bool has_work_elsewhere() const noexcept;
  [[nodiscard]] bool has_more_to_come() const noexcept;
  [[nodiscard]] bool may_leave() const noexcept;
  [[nodiscard]] bool nobody_keeps_time() const noexcept;
  [[nodiscard]] bool is_idle() noexcept;
  void tell_idle_waiters() noexcept;

  void end() noexcept;
  void close(Standing standing) noexcept;
  void break_pool(const std::exception_ptr& error) noexcept;
  static void drop_queued(StateBase& task, Drop drop, const std::exception_ptr& why) noexcept;
  static void cancel_one(StateBase& task, const std::exception_ptr& why) noexcept;
  void drain_queues(Drop drop, const std::exception_ptr& why) noexcept;
  void drain(Drop drop, const std::exception_ptr& why) noexcept;
  static void fail_one(StateBase& task, const std::exception_ptr& why) noexcept;
  void fail_queued(const std::exception_ptr& why) noexcept;
  void join() noexcept;

  const Settings settings_;
  const std::size_t cpus_ = concurrent::detail::os::usable_cpus();
  Queue queue_;
  Sleepers sleepers_;
  std::atomic<OrderedTasks*> ordered_{nullptr};
  std::atomic<Standing> standing_{Standing::open};
  std::atomic<bool> cancelling_{false};  // the pool is shut, and what is queued is cancelled
  std::string why_broken_;               // written before standing_ becomes broken

  // max_workers places, filled from the front, never emptied
  std::atomic<Worker*>* const workers_ = new std::atomic<Worker*>[settings_.max_workers]();
  std::atomic<std::size_t> started_{0};
  std::atomic<std::size_t> live_{0};
  std::mutex starting_;     // one new worker at a time
  bool abandoned_ = false;  // nobody will join the threads; guarded by starting_
  std::mutex joining_;

  std::mutex accepting_;            // what is not accepted through the queue's own lock
  WaitingTask* waiting_ = nullptr;  // guarded by accepting_
  std::atomic<std::size_t> waiting_count_{0};

  std::atomic<Clock::rep> alarm_{OrderedTasks::no_time.time_since_epoch().count()};
  std::atomic<std::size_t> in_callers_{0};  // tasks that run in a thread that submitted them
  std::atomic<std::uint32_t> blocked_submits_{0};
  std::atomic<std::uint32_t> room_{0};  // futex word: changes when room was made
  std::atomic<std::uint32_t> idle_waiters_{0};
  std::atomic<std::uint32_t> idle_epoch_{0};  // futex word: changes when the pool may be idle
  std::atomic<std::size_t> references_{1};

  inline static constinit thread_local Worker* current_worker_ = nullptr;
};

}  // namespace concurrent::futures::detail

// Where the members are defined.
#if !defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/futures/detail/thread_pool_engine.hpp>
#endif
