// SPDX-License-Identifier: MIT
#pragma once

// The engine of ProcessPoolExecutor in the parent: a manager thread that hands tasks to workers,
// takes their results and notices their deaths.
// Counterpart: _ExecutorManagerThread of concurrent.futures.process.

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/poller.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/detail/os/socket.hpp>
#include <concurrent/detail/os/threads.hpp>
#include <concurrent/futures/detail/process/channel.hpp>
#include <concurrent/futures/detail/process/control.hpp>
#include <concurrent/futures/detail/process/fork_server.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <concurrent/futures/detail/process/ready_queue.hpp>
#include <concurrent/futures/detail/process/waiting_list.hpp>
#include <concurrent/futures/detail/process/worker_record.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/multiprocessing/exceptions.hpp>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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
};

/// Protocol   Callers push tasks and set flags under `mutex_`, then call the alarm. The manager
///            thread alone touches channels, the poller and the workers' states; it takes `mutex_`
///            where it meets callers, and completes futures without it, so that callbacks may do
///            anything (submit, shut down, destroy the pool).
/// Lifetime   shared by the executor and the manager thread; the last of them destroys it.
/// A death    is what the fork server reports (it is the parent of the workers, and so the one that
///            knows the status). A closed channel or a pidfd that becomes readable comes first and
///            sets a limit to how long the report may take.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  /// Forks the fork server. @throws std::system_error; nothing is left then.
  explicit Engine(EngineOptions options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  /// Starts the manager thread. @throws std::system_error
  void start();

  /// @throws ShutdownError, BrokenProcessPool; std::logic_error in another process than the pool's.
  void submit(PoolTaskPtr task);
  /// Throws what submit would throw now, before the arguments are written.
  void check_open_now() const;
  /// The same for a task that was accepted when its call was made, and has waited since. Never
  /// throws ShutdownError.
  void submit_accepted(PoolTaskPtr task) noexcept;
  /// Keeps the pool from ending until the call leaves. @throws as submit
  void enter_waiting(WaitingCallPtr call);
  void leave_waiting(const WaitingCall& call) noexcept;
  /// A task that waited for its time was cancelled.
  void note_cancelled() noexcept;

  /// @throws std::system_error (resource_deadlock_would_occur) for waiting in a done-callback.
  void shutdown(bool wait, bool cancel_futures);
  /// Ends all workers by a signal and starts no more. `by` names the call in error messages.
  void stop_workers(int signal, const char* by);
  /// False when the deadline came first.
  bool wait_idle(Deadline deadline);

  [[nodiscard]] bool in_manager_thread() const noexcept {
    return std::this_thread::get_id() == manager_id_;
  }
  [[nodiscard]] bool in_other_process() const noexcept { return ::getpid() != owner_; }
  /// The pool is going away: waits for its end, except in the manager thread itself.
  void abandon() noexcept;

 private:
  using Key = std::uint64_t;
  using State = WorkerRecord::State;
  static constexpr Key alarm_key = 0;
  static constexpr Key control_key = 1;
  static constexpr Key server_key = 2;
  static constexpr Key first_worker_key = 4;  // even: its channel; odd: its pidfd

  // Called by anyone.
  void check_open() const;
  void push(PoolTaskPtr& task);

  void cancel_pending();

  // The manager thread.
  void run() noexcept;
  void manage();
  [[nodiscard]] bool finished() const;
  [[nodiscard]] Deadline next_deadline() const noexcept;
  void handle(Key key, std::uint32_t events);
  void check_deadlines();
  // tasks
  void dispatch();
  void hand_over(PoolTaskPtr task);
  void finish_task(Key key, WorkerRecord& worker, const Frame& frame);
  void complete(PoolTask& task, const WorkerRecord& worker, const Frame& frame);
  void break_by_result(PoolTask& task, const WorkerRecord& worker, const std::string& reason);
  void task_done() noexcept;
  // workers coming and going
  void request_workers(std::size_t wanted);
  bool tell_server(const ServerRequest& request);
  void receive_replies();
  void worker_started(pid_t pid, os::Descriptor channel, os::Descriptor process);
  void start_failed(int error);
  void worker_ended(pid_t pid, std::optional<int> status);
  void bury(WorkerRecord worker, std::optional<int> status);
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
  void end_server() noexcept;

  EngineOptions options_;
  const pid_t owner_ = ::getpid();

  os::Poller poller_;
  os::Alarm alarm_;
  os::Descriptor control_;
  os::Descriptor server_;  // a pidfd
  pid_t server_pid_ = 0;

  std::thread thread_;
  std::atomic<std::thread::id> manager_id_{};

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // finished_ or unfinished_
  ReadyQueue ready_;
  WaitingList waiting_;
  std::size_t unfinished_ = 0;  // tasks in ready_ and in workers
  std::uint64_t next_task_ = 1;
  bool delayed_cancelled_ = false;  // some task of ready_ whose time has not come
  bool shutdown_ = false;
  bool finished_ = false;  // the manager thread has nothing left to do
  bool joined_ = false;    // somebody joins thread_, or has detached it
  std::optional<std::string> broken_;
  const char* stopped_by_ = nullptr;  // terminate_workers or kill_workers
  int stop_signal_ = 0;
  std::unordered_map<Key, WorkerRecord> workers_;  // entered and left under the mutex

  // The manager thread's own.
  Key next_key_ = first_worker_key;
  std::size_t requested_ = 0;  // workers that the server was asked for and has not answered
  std::size_t starting_ = 0;
  bool may_start_ = true;  // false from a failed start until something has changed
  bool server_alive_ = true;
  bool breaking_ = false;
  bool ending_ = false;
  bool timed_ = false;  // some worker may have a deadline
  Deadline next_due_;   // of the delayed tasks
  std::vector<Key> idle_;
};

}  // namespace concurrent::futures::detail::process

#include <concurrent/futures/detail/process/engine_impl.hpp>
