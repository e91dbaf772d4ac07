// SPDX-License-Identifier: MIT
#pragma once

// The engine, as it is made and used by any thread.

#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/process/engine.hpp>
#include <concurrent/futures/detail/process/fork_server.hpp>
#include <concurrent/futures/detail/process/own_exceptions.hpp>
#include <concurrent/futures/detail/process/spawned_server.hpp>

namespace concurrent::futures::detail::process {

/// How many turns to wait actively, some 50 microseconds: none on one processor, where the other
/// side could do nothing meanwhile.
inline int turns_of_waiting() noexcept {
  static const int turns = os::usable_cpus() > 1 ? 300 : 0;
  return turns;
}

CONCURRENT_INLINE Engine::Engine(EngineOptions options)
    : options_(std::move(options)),
      arena_memory_(make_arena_memory(options_)),
      arena_(make_arena()),
      turns_(turns_of_waiting()),
      server_is_up_(!options_.spawns()) {
  register_own_exceptions();
  options_.worker.spin = turns_;
  options_.worker.arena = arena_.get();
  poller_.add(alarm_.descriptor(), alarm_key);
  start_server();
}

/// Not for workers that must not see what others send and receive, or whose addresses are few.
inline bool has_arena(const WorkerSetup& worker) noexcept {
  return !worker.sandbox && !worker.limits.address_space;
}
CONCURRENT_INLINE os::Descriptor Engine::make_arena_memory(const EngineOptions& options) noexcept {
  if (!options.spawns() || !has_arena(options.worker)) return {};
  return Arena::make_memory(largest_arena);
}
CONCURRENT_INLINE std::unique_ptr<Arena> Engine::make_arena() const {
  // Now, so that the workers inherit it, and the server finds it made.
  if (!options_.spawns()) multiprocessing::detail::SharedHeap::instance();
  if (!has_arena(options_.worker)) return nullptr;
  if (!options_.spawns()) return std::make_unique<Arena>(largest_arena);
  auto arena = std::make_unique<Arena>(arena_memory_);
  return *arena ? std::move(arena) : nullptr;
}

CONCURRENT_INLINE void Engine::start_server() {
  os::SocketPair control = os::socket_pair(SOCK_SEQPACKET);
  os::Descriptor parent = os::open_process(owner_);
  if (options_.spawns()) {
    if (arena_ == nullptr) arena_memory_.reset();
    server_pid_ = spawn_fork_server(control, parent, arena_memory_, options_.worker);
    arena_memory_.reset();
  } else {
    os::know_output();
    server_pid_ = os::fork_process("cannot fork the process pool's fork server", [&] {
      os::reset_signal_handlers();
      begin_fork_server(std::move(control.second), std::move(parent), options_.worker);
    });
  }
  control_ = std::move(control.first);
  control.second.reset();
  try {
    server_ = os::open_process(server_pid_);
    poller_.add(control_.number(), control_key);
    poller_.add(server_.number(), server_key);
  } catch (...) {
    end_server();
    throw;
  }
}

CONCURRENT_INLINE Engine::~Engine() {
  if (in_other_process()) return;
  if (thread_.joinable()) thread_.detach();  // it is this thread, which destroys the engine last
  if (control_) end_server();                // the manager thread was never started
}

CONCURRENT_INLINE void Engine::start() {
  const os::AllSignalsBlocked blocked;  // the new thread inherits it: handlers are for others
  thread_ = std::thread([self = shared_from_this()] { self->run(); });
}

CONCURRENT_INLINE void Engine::check_open() const {
  if (broken_) throw BrokenProcessPool(*broken_);
  if (shutdown_) throw ShutdownError();
}

CONCURRENT_INLINE void Engine::push(PoolTaskPtr& task) {
  if (task->options().priority != 0 && !std::exchange(priorities_differ_, true)) alarm_.call();
  task->kept = task->request.take_kept();
  constexpr std::size_t most = (std::numeric_limits<std::uint32_t>::max)();
  const std::size_t kibibytes = (std::min)(task->request.size() / 1024, most);
  task->kibibytes.store(static_cast<std::uint32_t>(kibibytes), std::memory_order_relaxed);
  if (ReadyQueue::is_delayed(task->options())) submits_at_a_time_ = 1;  // its time is to be planned
  ready_.push(task);
  ++unfinished_;
}

CONCURRENT_INLINE void Engine::check_open_now() const {
  if (in_other_process()) {
    throw std::logic_error("this process pool was made by process " + std::to_string(owner_) +
                           " and cannot be used in process " + std::to_string(::getpid()) +
                           ", which was forked from it");
  }
  // acquire: pairs with the release of who closed it; submit() looks again under the mutex
  if (!closed_.load(std::memory_order_acquire)) return;
  const std::scoped_lock lock(mutex_);
  check_open();
}

/// Under the mutex: what waits for a worker, be it in the ring of one.
CONCURRENT_INLINE bool Engine::is_full() const noexcept {
  std::size_t pending = ready_.ready_count();
  for (const auto& [key, worker] : workers_) {
    if (worker.tasks.size() > 1) pending += worker.tasks.size() - 1;
  }
  return pending >= options_.max_pending;
}

CONCURRENT_INLINE bool Engine::leaves_it_to_callers() const {
  if (options_.max_pending == 0 || options_.when_full != WhenFull::run_in_caller) return false;
  const std::scoped_lock lock(mutex_);
  check_open();
  return is_full();
}

/// @throws QueueFullError, and what check_open throws.
CONCURRENT_INLINE void Engine::wait_for_room(std::unique_lock<std::mutex>& lock) {
  // Whoever drives the engine would wait for itself.
  while (is_full() && !in_manager_thread()) {
    if (options_.when_full == WhenFull::throw_error) {
      throw QueueFullError("the executor has as many pending tasks as .max_pending allows: " +
                           std::to_string(options_.max_pending));
    }
    room_.wait(lock);
    check_open();
  }
}

/// Under the mutex: there may be room.
CONCURRENT_INLINE void Engine::made_room() noexcept {
  if (options_.max_pending != 0) room_.notify_all();
}

CONCURRENT_INLINE void Engine::submit(PoolTaskPtr task) {
  std::unique_lock lock(mutex_);
  check_open();
  const bool bounded = options_.max_pending != 0 && options_.when_full != WhenFull::run_in_caller;
  if (bounded && !ReadyQueue::is_delayed(task->options())) wait_for_room(lock);
  push(task);
  drive_after_submit(lock);
}

CONCURRENT_INLINE void Engine::submit_accepted(PoolTaskPtr task) noexcept {
  std::unique_lock lock(mutex_);
  // The end may have begun already when shutdown cancels the call.
  const bool cancelled = shutdown_ && unfinished_ == 0 && waiting_.empty();
  try {
    if (!broken_ && !stopped_by_ && !cancelled) push(task);
  } catch (...) {
    lock.unlock();
    task->fail(std::current_exception());
    return;
  }
  if (task == nullptr) return drive_after_submit(lock);
  lock.unlock();
  if (cancelled) return task->cancel();
  task->fail(std::make_exception_ptr(
      BrokenProcessPool("the process pool ended while this task waited for its arguments")));
}

CONCURRENT_INLINE void Engine::enter_waiting(WaitingCallPtr call) {
  const std::scoped_lock lock(mutex_);
  check_open();
  waiting_.enter(std::move(call));
}

CONCURRENT_INLINE void Engine::leave_waiting(const WaitingCall& call) noexcept {
  WaitingCallPtr left;
  {
    const std::scoped_lock lock(mutex_);
    left = waiting_.leave(call);
    changed_.notify_all();
  }
  alarm_.call();
}

/// The time of a task that is cancelled need not come, and its place in a bounded queue is free.
CONCURRENT_INLINE void Engine::note_settled(const PoolTask& task) noexcept {
  if (options_.max_pending == 0 && !ReadyQueue::is_delayed(task.options())) return;
  {
    const std::scoped_lock lock(mutex_);
    settled_ = true;
  }
  alarm_.call();
}

CONCURRENT_INLINE void Engine::cancel_pending() {
  std::vector<PoolTaskPtr> tasks;
  std::vector<WaitingCallPtr> calls;
  {
    const std::scoped_lock lock(mutex_);
    for (auto& [key, worker] : workers_) take_back_all(worker);
    tasks = ready_.take_all();
    calls = waiting_.take_all();
    made_room();
  }
  const Cancelling here(*this);
  for (PoolTaskPtr& task : tasks) {
    task->cancel();
    task.reset();
    tasks_done(1);
  }
  for (const WaitingCallPtr& call : calls) call->cancel();
  alarm_.call();
}

CONCURRENT_INLINE void Engine::shutdown(bool wait, bool cancel_futures) {
  if (in_other_process()) return;
  const auto self = shared_from_this();  // a callback may destroy the pool
  {
    const std::scoped_lock lock(mutex_);
    shutdown_ = true;
    closed_.store(true, std::memory_order_release);
    made_room();  // those who wait for it are refused
  }
  if (cancel_futures) cancel_pending();
  alarm_.call();
  if (!wait) return;
  if (in_manager_thread()) {
    throw std::system_error(
        std::make_error_code(std::errc::resource_deadlock_would_occur),
        "a done-callback of a process pool's task cannot wait for the pool's shutdown");
  }
  std::unique_lock lock(mutex_);
  if (std::exchange(joined_, true)) return changed_.wait(lock, [this] { return finished_; });
  lock.unlock();
  thread_.join();
}

CONCURRENT_INLINE void Engine::abandon() noexcept {
  if (in_other_process()) return;
  if (!in_manager_thread()) {
    shutdown(true, false);
    return;
  }
  // A callback destroys the pool. What is queued is completed; the thread keeps the engine.
  shutdown(false, false);
  const std::scoped_lock lock(mutex_);
  if (!std::exchange(joined_, true)) thread_.detach();
}

CONCURRENT_INLINE void Engine::stop_workers(int signal, const char* by) {
  if (in_other_process()) return;
  const auto self = shared_from_this();  // a callback may destroy the pool
  {
    const std::scoped_lock lock(mutex_);
    shutdown_ = true;
    closed_.store(true, std::memory_order_release);
    made_room();  // those who wait for it are refused
    stopped_by_ = by;
    stop_signal_ = signal;
    for (const auto& [key, worker] : workers_) os::signal_process(worker.process, signal);
  }
  cancel_pending();
}

CONCURRENT_INLINE bool Engine::wait_idle(Deadline deadline) {
  if (in_other_process()) return true;
  if (in_manager_thread()) {
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "a done-callback of a process pool's task cannot wait for its end");
  }
  std::unique_lock lock(mutex_);
  const auto idle = [this] { return finished_ || (unfinished_ == 0 && waiting_.empty()); };
  if (!deadline.never()) return changed_.wait_until(lock, deadline.at(), idle);
  changed_.wait(lock, idle);
  return true;
}

/// Called by a cancellation, for a task that was put behind another.
CONCURRENT_INLINE bool Engine::withdraw(PoolTask& task) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    if (task.worker == 0) return true;  // it has been taken back already
    const auto found = workers_.find(task.worker);
    if (found == workers_.end()) return false;
    WorkerRecord& worker = found->second;
    const auto handed =
        std::find_if(worker.tasks.begin(), worker.tasks.end(),
                     [&task](const auto& each) { return each.ticket == task.ticket; });
    if (handed == worker.tasks.end() || !handed->revocable) return false;
    try {
      if (!take_back(*handed, worker)) return false;
    } catch (const std::bad_alloc&) {  // it stays where it is
      return false;
    }
    worker.tasks.erase(handed);
  }
  alarm_.call();  // it is dropped where tasks are handed out
  return true;
}

/// Called by a cancellation, for a task that runs.
CONCURRENT_INLINE bool Engine::end_running(PoolTask& task) noexcept {
  if (in_other_process()) return false;
  bool cancelled = false;
  PoolTaskPtr ended;
  PoolTaskPtr stub(new (std::nothrow) DroppedTask);
  if (stub == nullptr) return false;
  try {
    const std::scoped_lock lock(mutex_);
    if (task.worker == 0) {  // it waits for another attempt
      cancelled = task.begin_cancelling();
      settled_ = settled_ || cancelled;
      if (cancelled) alarm_.call();
      return cancelled;
    }
    const auto found = workers_.find(task.worker);
    if (found == workers_.end()) return false;
    WorkerRecord& worker = found->second;
    // Nothing may begin behind it meanwhile. What has begun shows that this one has its result.
    take_back_all(worker);
    if (!worker.tasks.empty() && worker.tasks.back().task.get() == &task &&
        task.begin_cancelling()) {
      cancelled = true;
      ended = std::exchange(worker.tasks.back().task, std::move(stub));
      // The worker may be writing there still.
      if (ended->request.lent()) worker.tasks.back().task->request = std::move(ended->request);
      worker.tasks.back().task->sent = std::move(ended->sent);
      worker.tasks.back().task->kept = std::move(ended->kept);
      worker.doom = WorkerRecord::Doom::cancelled;
      os::signal_process(worker.process, SIGKILL);
    }
  } catch (const std::bad_alloc&) {  // no memory to queue again what waits behind it
  }
  alarm_.call();  // for what was taken back, too
  return cancelled;
}

/// With the mutex, which it gives up: hands tasks out in the thread that has submitted one.
CONCURRENT_INLINE void Engine::drive_after_submit(std::unique_lock<std::mutex>& lock) noexcept {
  const bool gathers = submits_at_a_time_ != 1;
  if (gathers && ready_.ready_count() < submits_at_a_time_) return lock.unlock();
  if (role_.mine()) return role_.leave_word();  // in a callback: the driver looks again
  const bool fetch = gathers || ++submits_ % submits_between_fetches == 0;
  if (enter_as_passer_by()) pass_by(fetch, lock);
}

/// Keeps the role while it waits, if it can have it: nothing is faster than looking into the rings.
CONCURRENT_INLINE bool Engine::drive_for(StateBase& target, Deadline deadline,
                                         std::size_t bytes) noexcept {
  if (in_other_process() || in_manager_thread()) return target.done();
  // relaxed: the look at it comes with the role
  watchers_.fetch_add(1, std::memory_order_relaxed);
  std::unique_lock lock(mutex_, std::defer_lock);
  // relaxed: a hint. A process takes longer to begin than anybody waits actively, and may need this
  // very processor for that.
  const bool soon = had_worker_.load(std::memory_order_relaxed);
  ActiveWait wait(soon ? turns_ : 0, deadline, bytes);
  bool driving = false;
  do {
    if (!driving) driving = role_.try_enter();
    if (!driving) continue;
    // A worker that has just been woken up may be behind this thread on the same processor.
    if (std::exchange(woke_worker_, false)) wait.give_way();
    if (has_news()) work(true, lock);
    if (role_.is_wanted()) {
      role_.leave();
      driving = false;
    }
  } while (!target.done() && wait.turn());
  watchers_.fetch_sub(1, std::memory_order_relaxed);         // the role's word orders it
  if (driving || enter_as_passer_by()) pass_by(true, lock);  // it promises nothing any more
  return target.done();
}

}  // namespace concurrent::futures::detail::process
