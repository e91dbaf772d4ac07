// SPDX-License-Identifier: MIT
#pragma once

// The engine of ProcessPoolExecutor in the parent: hands tasks to workers, takes their results and
// notices their deaths. Threads that submit or wait do it as they go; a manager thread does it when
// nobody else does, and all that is rare.
// Counterpart: _ExecutorManagerThread of concurrent.futures.process.

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/poller.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/detail/os/socket.hpp>
#include <concurrent/detail/os/threads.hpp>
#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/process/active_wait.hpp>
#include <concurrent/futures/detail/process/channel.hpp>
#include <concurrent/futures/detail/process/control.hpp>
#include <concurrent/futures/detail/process/driver_role.hpp>
#include <concurrent/futures/detail/process/message_areas.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <concurrent/futures/detail/process/ready_queue.hpp>
#include <concurrent/futures/detail/process/waiting_list.hpp>
#include <concurrent/futures/detail/process/worker.hpp>
#include <concurrent/futures/detail/process/worker_record.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/on_worker_death.hpp>
#include <concurrent/futures/when_full.hpp>
#include <concurrent/multiprocessing/detail/shared_heap.hpp>
#include <concurrent/multiprocessing/exceptions.hpp>
#include <concurrent/multiprocessing/start_method.hpp>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace concurrent::futures::detail::process {

struct EngineOptions {
  std::size_t max_workers = 1;
  WorkerSetup worker;
  std::size_t max_pending = 0;  // 0: no bound
  WhenFull when_full = WhenFull::block;
  OnWorkerDeath on_worker_death = OnWorkerDeath::break_pool;
  multiprocessing::StartMethod start_method = multiprocessing::StartMethod::fork;

  [[nodiscard]] bool spawns() const noexcept {
    return start_method == multiprocessing::StartMethod::spawn;
  }
};

class Engine;

/// While it lives, this thread runs callbacks of tasks that it cancels for an engine.
class Cancelling {
 public:
  explicit Cancelling(const Engine& engine) noexcept
      : engine_(&engine), outer_(std::exchange(innermost_, this)) {}
  Cancelling(const Cancelling&) = delete;
  Cancelling& operator=(const Cancelling&) = delete;
  ~Cancelling() { innermost_ = outer_; }

  [[nodiscard]] static bool here(const Engine& engine) noexcept {
    const Cancelling* scope = innermost_;
    while (scope != nullptr && scope->engine_ != &engine) scope = scope->outer_;
    return scope != nullptr;
  }

 private:
  static inline thread_local const Cancelling* innermost_ = nullptr;

  const Engine* engine_;
  const Cancelling* outer_;
};

/// Protocol   Callers push tasks and set flags under `mutex_`. Workers' records, the poller and the
///            manager's own fields belong to whoever has `role_` (see DriverRole); the set of
///            workers and the tasks that they have are changed with `mutex_` too, so that callers
///            can revoke. Who has the mutex may try for the role, but nobody waits for the role
///            with it. `mutex_` is never held while anything of the user's runs. Futures are
///            completed with the role, but not with the mutex, so that callbacks may do anything
///            (submit, shut down, destroy the pool).
/// Drivers    The manager does everything. A thread that submits dispatches, and now and then
///            fetches results; one that waits for a future fetches results and dispatches for some
///            microseconds before it sleeps (a large request: up to a millisecond, while it is
///            copied). Those two leave to the manager, and call it for, what
///            runs code of others: futures with callbacks, exceptions, whatever is wrong.
/// Listening  A worker rings for its results unless somebody promises to look: a thread that waits
///            actively (`watchers_`), or the manager while it naps (`napping_`). Whoever gives up
///            the role with nobody promising sets the flags (SharedBlock F1) and looks once more
///            (F2). So a result never lies unseen, and in a busy time nobody rings.
/// Queueing   A worker that was fast is given some tasks behind the one that it has, at most what
///            it does in `hold`; they are revocable: they can be cancelled, and are taken back
///            for a worker that is idle, and when theirs has shown no result for
///            `patience_with_queue`: so an idle worker gets the oldest task that none has begun,
///            and a long task holds those behind it for that time at most. Tasks with a timeout or
///            a large request only go to a worker that has none, and as soon as priorities differ,
///            nothing is put behind anything. While all workers have a stock of tasks, those that
///            are submitted are handed out some at a time: who fetches the next result does it
///            in any case, so none is forgotten.
/// Lifetime   shared by the executor and the manager thread; the last of them destroys it.
/// A death    is what the fork server reports (it is the parent of the workers, and so the one that
///            knows the status). A closed channel or a pidfd that becomes readable comes first and
///            sets a limit to how long the report may take. Results that are in the ring count, and
///            tasks there that the worker had not begun are another's.
class Engine final : public TaskOwner, public std::enable_shared_from_this<Engine> {
 public:
  /// Starts the fork server. @throws std::system_error; nothing is left then.
  explicit Engine(EngineOptions options);
  // Inline already here, as all that overrides: with a key function that is not, every file that
  // includes this would compile the whole engine for its virtual table.
  CONCURRENT_INLINE ~Engine() override;

  /// Starts the manager thread. @throws std::system_error
  void start();

  /// @throws ShutdownError, BrokenProcessPool, QueueFullError; std::logic_error in another process
  /// than the pool's.
  void submit(PoolTaskPtr task);
  /// Whether the next task is for the thread that submits it: WhenFull::run_in_caller, and it is.
  bool leaves_it_to_callers() const;
  /// Throws what submit would throw now, before the arguments are written.
  void check_open_now() const;
  /// The same for a task that was accepted when its call was made, and has waited since. Never
  /// throws ShutdownError.
  void submit_accepted(PoolTaskPtr task) noexcept;
  /// Keeps the pool from ending until the call leaves. @throws as submit
  void enter_waiting(WaitingCallPtr call);
  void leave_waiting(const WaitingCall& call) noexcept;

  /// @throws std::system_error (resource_deadlock_would_occur) for waiting in a done-callback.
  void shutdown(bool wait, bool cancel_futures);
  /// Ends all workers by a signal and starts no more. `by` names the call in error messages.
  void stop_workers(int signal, const char* by);
  /// False when the deadline came first.
  bool wait_idle(Deadline deadline);

  CONCURRENT_INLINE void note_settled(const PoolTask& task) noexcept override;
  CONCURRENT_INLINE bool withdraw(PoolTask& task) noexcept override;
  CONCURRENT_INLINE bool end_running(PoolTask& task) noexcept override;
  CONCURRENT_INLINE bool drive_for(StateBase& target, Deadline deadline,
                                   std::size_t bytes) noexcept override;

  /// In the manager thread, or in another that does its work: in a done-callback.
  [[nodiscard]] bool in_manager_thread() const noexcept {
    return std::this_thread::get_id() == manager_id_.load(std::memory_order_relaxed) ||
           role_.mine() || Cancelling::here(*this);
  }
  [[nodiscard]] bool in_other_process() const noexcept { return !here_.is_here(); }
  /// Where large requests should be written; null: on the heap.
  [[nodiscard]] multiprocessing::detail::BufferSource* arena() noexcept { return arena_.get(); }
  /// The pool is going away: waits for its end, except in the manager thread itself.
  void abandon() noexcept;

 private:
  using Key = std::uint64_t;
  using State = WorkerRecord::State;
  using Clock = Deadline::Clock;
  static constexpr Key alarm_key = 0;
  static constexpr Key control_key = 1;
  static constexpr Key server_key = 2;
  static constexpr Key first_worker_key = 4;  // even: its channel; odd: its pidfd

  /// What may wait in a worker's ring behind a task: so much work, and not more tasks than this.
  static constexpr std::chrono::microseconds hold{400};
  static constexpr std::size_t most_tasks_at_a_time = 64;
  static_assert(most_tasks_at_a_time <= SharedBlock::slot_count);
  /// So long may a worker with tasks behind its first show no result.
  static constexpr std::chrono::microseconds patience_with_queue{1000};
  /// What a worker may use for a result whose request has no room for it.
  static constexpr std::size_t results_at_a_time = std::size_t{80} << 20U;
  static constexpr std::chrono::seconds patience_at_the_end{1};
  /// Pools are many, and addresses not without end.
  static constexpr std::size_t largest_arena = std::size_t{1} << (4 * sizeof(std::size_t) + 4);
  /// When to ask the fork server again that could not be told.
  static constexpr std::chrono::milliseconds pause_before_asking_again{10};
  /// How long the manager naps while others do its work, and while it does it itself.
  static constexpr std::chrono::microseconds long_nap{200};
  static constexpr std::chrono::microseconds short_nap{50};
  static constexpr std::uint32_t submits_between_fetches = 16;
  static constexpr std::size_t enough_stock = 8;  // tasks of a worker
  /// So many workers in a row may die before they are ready, by themselves and by SIGKILL.
  static constexpr std::size_t most_early_deaths = 8;
  static constexpr std::size_t most_early_kills = 100;

  [[nodiscard]] static os::Descriptor make_arena_memory(const EngineOptions& options) noexcept;
  [[nodiscard]] std::unique_ptr<Arena> make_arena() const;
  void start_server();

  // Called by anyone.
  void check_open() const;
  [[nodiscard]] bool is_full() const noexcept;
  void wait_for_room(std::unique_lock<std::mutex>& lock);
  void made_room() noexcept;
  void push(PoolTaskPtr& task);
  void cancel_pending();
  void drive_after_submit(std::unique_lock<std::mutex>& lock) noexcept;

  // With the role: the work.
  enum class Driver { manager, passer_by };
  bool enter_as_passer_by() noexcept;
  void drive(Driver driver, bool fetch, std::unique_lock<std::mutex>& lock);
  void pass_by(bool fetch, std::unique_lock<std::mutex>& lock) noexcept;
  void work(bool fetch, std::unique_lock<std::mutex>& lock) noexcept;
  void step_down(std::unique_lock<std::mutex>& lock) noexcept;
  bool has_news() noexcept;
  std::size_t fetch_all(Driver driver);
  void listen() noexcept;
  void listen_unless_promised() noexcept;
  void dispatch(std::unique_lock<std::mutex>& lock);
  void dispatch_meanwhile(std::unique_lock<std::mutex>& lock) noexcept;
  void drop_settled(std::unique_lock<std::mutex>& lock);
  bool choose_idle();
  void hand_over(PoolTaskPtr& task, std::unique_lock<std::mutex>& lock);
  WorkerRecord* next_in_line() noexcept;
  bool put_behind(WorkerRecord& worker);
  void publish_all() noexcept;
  [[nodiscard]] bool all_have_stock() const noexcept;
  // With the role: results.
  std::size_t fetch_results(Key key, WorkerRecord& worker, Driver driver);
  void settle(Key key, WorkerRecord& worker) noexcept;
  void note_progress(WorkerRecord& worker, std::size_t results) noexcept;
  [[nodiscard]] std::span<const std::byte> value_in_arena(std::span<const std::byte> payload,
                                                          const WorkerRecord& worker,
                                                          const PoolTask& task) const noexcept;
  void finish_task(Key key, WorkerRecord& worker, const Frame& frame);
  void complete(PoolTask& task, const WorkerRecord& worker, FrameKind kind,
                std::span<const std::byte> payload);
  void break_by_result(PoolTask& task, const WorkerRecord& worker, const std::string& reason);
  void tasks_done(std::size_t count) noexcept;
  // Under the mutex.
  bool take_back(WorkerRecord::Handed& handed, WorkerRecord& worker);
  void take_back_older();
  void take_back_all(WorkerRecord& worker);

  // The manager thread.
  void run() noexcept;
  void manage();
  [[nodiscard]] bool finished() const;
  [[nodiscard]] Deadline plan();
  [[nodiscard]] Deadline next_deadline() const noexcept;
  void handle(Key key, std::uint32_t events);
  void handle_all(std::span<const epoll_event> events);
  void check_deadlines();
  void check_queues();
  // workers coming and going
  void request_workers(std::size_t wanted);
  bool tell_server(const ServerRequest& request) noexcept;
  void receive_replies();
  static bool all_have_come(const ServerReply& reply, const os::Received& received) noexcept;
  void worker_started(pid_t pid, std::array<os::Descriptor, os::max_passed_descriptors> received);
  void start_failed(int error);
  void worker_ended(pid_t pid, std::optional<int> status);
  void bury(WorkerRecord worker, std::optional<int> status);
  void survive(PoolTaskPtr running, const WorkerRecord& worker, const std::string& how,
               std::optional<int> status);
  void server_ended();
  // channels
  void pump(Key key, WorkerRecord& worker, std::uint32_t events);
  void receive(Key key, WorkerRecord& worker, const Frame& frame);
  void drain(Key key, WorkerRecord& worker);
  void lose(Key key, WorkerRecord& worker);
  void watch(Key key, WorkerRecord& worker) noexcept;
  void not_idle(Key key) noexcept;
  // the end
  void break_pool(const std::string& why, PoolTaskPtr culprits_task = nullptr) noexcept;
  void fail_broken(PoolTaskPtr task, const std::string& text) noexcept;
  void end_workers();
  /// A worker that is not ready has run nothing of the user's, and may be killed at the end: it
  /// need not begin to see that it is to end.
  [[nodiscard]] bool begins_harmlessly() const noexcept { return !options_.worker.initializer; }
  void dismiss_server() noexcept;
  void end_server() noexcept;

  EngineOptions options_;
  os::Descriptor arena_memory_;         // until a server that is not forked has got it
  const std::unique_ptr<Arena> arena_;  // null: workers have limits, or must not see other's data
  const pid_t owner_ = ::getpid();
  const os::ProcessMark here_;
  const int turns_;  // for which a thread that waits does it actively

  os::Poller poller_;
  os::Alarm alarm_;
  os::Descriptor control_;
  os::Descriptor server_;  // a pidfd
  pid_t server_pid_ = 0;

  std::thread thread_;
  std::atomic<std::thread::id> manager_id_{};

  DriverRole role_;
  std::atomic<int> watchers_{0};         // threads in drive_for
  std::atomic<bool> closed_{false};      // shutdown_ or broken_: a first look without the mutex
  std::atomic<bool> had_worker_{false};  // one was ready

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // finished_ or unfinished_
  std::condition_variable room_;     // of ready_, when it is bounded
  ReadyQueue ready_;
  WaitingList waiting_;
  std::size_t unfinished_ = 0;  // tasks in ready_ and in workers
  bool settled_ = false;  // some task of ready_ was cancelled that nobody may come to for long
  bool shutdown_ = false;
  bool finished_ = false;  // the manager thread has nothing left to do
  bool joined_ = false;    // somebody joins thread_, or has detached it
  std::optional<std::string> broken_;
  const char* stopped_by_ = nullptr;  // terminate_workers or kill_workers
  int stop_signal_ = 0;
  bool priorities_differ_ = false;  // some task was pushed with another priority than 0
  std::uint32_t submits_ = 0;
  std::size_t submits_at_a_time_ = 1;              // so many are handed out together
  std::unordered_map<Key, WorkerRecord> workers_;  // changed with the role and the mutex

  // With the role.
  Key next_key_ = first_worker_key;
  std::size_t requested_ = 0;  // workers that the server was asked for and has not answered
  std::size_t starting_ = 0;
  std::size_t early_deaths_ = 0;  // since a worker was ready
  bool may_start_ = true;         // false from a failed start until something has changed
  bool server_alive_ = true;
  bool dismissed_ = false;  // the server ends as soon as its workers have
  bool server_is_up_;       // false while the program that is to become the server begins
  bool breaking_ = false;
  bool ending_ = false;
  bool timed_ = false;  // some worker may have a deadline
  Deadline next_due_;   // of the delayed tasks
  std::vector<Key> idle_;
  bool appended_ = false;      // something was put behind others, and not published
  bool ended_ = false;         // there is nothing to drive any more
  bool napping_ = false;       // the manager will look at the results soon
  Deadline planned_;           // when the manager will look in any case
  bool plan_changed_ = false;  // something may have to be done earlier
  bool woke_worker_ = false;   // for a task, since somebody waited for one
  bool passers_by_ = false;    // others have worked since the manager looked
  std::size_t fetched_ = 0;    // results since the manager looked
};

}  // namespace concurrent::futures::detail::process

// Where the members are defined.
#if !defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/futures/detail/process/engine_callers.hpp>
#include <concurrent/futures/detail/process/engine_manager.hpp>
#include <concurrent/futures/detail/process/engine_tasks.hpp>
#include <concurrent/futures/detail/process/engine_workers.hpp>
#endif
