// SPDX-License-Identifier: MIT
#pragma once

// The engine's moving parts; thread_pool_core.hpp says how they work together.

#include <concurrent/futures/detail/thread_pool_core.hpp>

namespace concurrent::futures::detail {

// Worker: the thread

inline void Worker::main() noexcept {
  concurrent::detail::os::set_thread_name(
      concurrent::detail::os::thread_name(pool_.settings_.thread_name_prefix, index_));
  ThreadPoolCore::current_worker_ = this;
  current_helper = this;
  if (initialize()) {
    for (;;) {
      StateBase* task = next();
      if (task == nullptr) task = search();
      if (task == nullptr) {
        if (sleep()) continue;
        break;
      }
      end_search();
      run(*task);
    }
  }
  end_search();
  current_helper = nullptr;
  ThreadPoolCore::current_worker_ = nullptr;
  pool_.worker_left();
}

/// A pool's first search began when the thread was asked for, so that a burst of submits starts one
/// thread after another; but an initializer may take its time, and others must start meanwhile.
inline bool Worker::initialize() noexcept {
  if (!pool_.settings_.initializer) {
    searching_ = true;  // counted by start_worker
    return true;
  }
  try {
    pool_.settings_.initializer();
    return true;
  } catch (...) {
    report_unraisable(std::current_exception(), "the initializer of a thread pool");
    pool_.break_pool(std::current_exception());
    return false;
  }
}

inline void Worker::begin_search() noexcept {
  if (searching_) return;
  searching_ = true;
  pool_.sleepers_.begin_search();  // Z4
}

inline void Worker::end_search() noexcept {
  if (!std::exchange(searching_, false)) return;
  if (!pool_.sleepers_.end_search()) return;  // Z5
  const bool nobody_keeps_time =
      !pool_.delayed_.empty() && pool_.alarm_.load(std::memory_order_relaxed) ==
                                     ThreadPoolCore::no_time.time_since_epoch().count();
  if (nobody_keeps_time || pool_.has_work()) pool_.notify();
}

/// Looks for work for a moment before it sleeps. One worker does so; the others sleep at once.
inline StateBase* Worker::search() noexcept {
  begin_search();
  const int turns = pool_.sleepers_.searching() > 1 ? 1 : pool_.spinning_turns_;
  for (int turn = 0; turn < turns; ++turn) {
    if (pool_.has_work()) {
      if (StateBase* const task = next(); task != nullptr) return task;
    }
    concurrent::detail::os::cpu_relax();
  }
  return next();
}

/// Sleeps until there may be work; false when the thread's life is over.
inline bool Worker::sleep() noexcept {
  using Clock = ThreadPoolCore::Clock;
  Sleepers& sleepers = pool_.sleepers_;
  sleepers.sit_down(seat_);  // Z6
  sleepers.end_search();     // Z7
  searching_ = false;
  if (pool_.has_work() || pool_.may_leave()) {  // Z8
    sleepers.get_up(seat_);
    searching_ = true;
    return pool_.has_work() || !pool_.may_leave();
  }
  pool_.tell_idle_waiters();
  // One sleeper keeps the time for the earliest delayed task; relaxed: an alarm too many is
  // harmless, and end_search looks after one too few.
  const Clock::time_point due = pool_.delayed_.first(ThreadPoolCore::no_time);
  const auto tick = due.time_since_epoch().count();
  Clock::time_point::rep armed = pool_.alarm_.load(std::memory_order_relaxed);
  const bool keeps_time =
      tick < armed && pool_.alarm_.compare_exchange_strong(armed, tick, std::memory_order_relaxed);
  sleepers.sleep(seat_, keeps_time ? Deadline(due) : Deadline());
  searching_ = true;
  if (keeps_time) {
    pool_.alarm_.store(ThreadPoolCore::no_time.time_since_epoch().count(),
                       std::memory_order_relaxed);
  }
  return true;
}

// Worker: tasks

inline void Worker::push(StateBase& task) {
  if (pool_.standing_.load(std::memory_order_relaxed) != ThreadPoolCore::Standing::open) {
    pool_.refuse();
  }
  deque_.push({&task, pool_.queue_.pushed()});
  pool_.notify();
}

/// The worker's own oldest task; with `only_if_due`, if everything that came before it was taken.
inline StateBase* Worker::next_own(bool only_if_due) noexcept {
  std::uint64_t ticket = 0;
  while (deque_.oldest_ticket(ticket)) {
    if (only_if_due && ticket > pool_.queue_.popped()) return nullptr;
    if (StateBase* const task = deque_.steal().item; task != nullptr) return task;
  }
  return nullptr;
}

inline StateBase* Worker::next() noexcept {
  if (!pool_.delayed_.empty()) pool_.move_due();
  if (StateBase* const task = pool_.prioritized_.pop_if([](int level) { return level > 0; })) {
    pool_.made_room();
    return task;
  }
  if (StateBase* const task = next_own(true)) return task;
  if (StateBase* const task = pool_.queue_.pop()) {
    pool_.made_room();
    return task;
  }
  if (StateBase* const task = next_own(false)) return task;
  if (StateBase* const task = pool_.steal(index_)) return task;
  StateBase* const task = pool_.prioritized_.pop_if([](int) { return true; });
  if (task != nullptr) pool_.made_room();
  return task;
}

/// Runs what a queue gave, with the reference that the queue had.
inline void Worker::run(StateBase& task) noexcept {
  const bool posted = task.phase() == Phase::posted;
  if (!posted && !task.claim(Phase::executing)) {
    task.release();  // it was cancelled, or run by one that waited for it
    return;
  }
  const Phase outcome = task.execute();
  // Whoever sees the outcome and submits the next task finds this worker looking for it already.
  if (!pool_.has_work()) begin_search();
  if (posted) {
    task.destroy();
    return;
  }
  task.publish(outcome);
  task.release();
}

/// Runs a task in place, on behalf of one that waits for it.
inline void Worker::run_claimed(StateBase& task) noexcept { task.publish(task.execute()); }

/// If the target is the newest in this worker's deque, takes it from there and claims it. Entries
/// on the way that were run by waiting for them are dropped.
inline bool Worker::take_from_bottom(StateBase& target) noexcept {
  for (;;) {
    const auto entry = deque_.pop();
    if (entry.item == nullptr) return false;
    if (entry.item == &target) {
      const bool claimed = target.claim(Phase::executing);
      target.release();  // not the last reference: who waits holds one
      return claimed;
    }
    const Phase phase = entry.item->phase();
    if (phase == Phase::pending || phase == Phase::posted) {
      deque_.push(entry);  // within the capacity that it had
      return false;
    }
    entry.item->release();
  }
}

inline Help Worker::run_one_for(StateBase& target) noexcept {
  if (target.phase() == Phase::pending && target.owner() == &pool_) {
    StateBase* const dependency = target.acquire_dependency();
    if (dependency == nullptr) {
      if (!take_from_bottom(target) && !target.claim(Phase::executing)) return Help::nothing;
      run_claimed(target);
      return Help::ran;
    }
    const Help help = run_one_for(*dependency);
    dependency->release();
    return help == Help::ran ? Help::ran : Help::later;
  }
  if (StateBase* const dependency = target.acquire_dependency(); dependency != nullptr) {
    const Help help = run_one_for(*dependency);
    dependency->release();
    return help;
  }
  return Help::nothing;
}

inline bool Worker::wait(StateBase& target, Deadline deadline) noexcept {
  while (!target.done()) {
    if (run_one_for(target) == Help::ran) continue;
    StateBase* const dependency = target.acquire_dependency();
    if (dependency == nullptr) return target.wait(deadline);
    const bool came = wait(*dependency, deadline);
    dependency->release();
    if (!came) return target.done();
  }
  return true;
}

inline void Worker::block_on(std::atomic<std::uint32_t>& word) noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  blocked_on_ = &word;
}

inline void Worker::unblock() noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  blocked_on_ = nullptr;
}

inline void Worker::wake_from_wait() noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  if (blocked_on_ == nullptr) return;
  blocked_on_->store(0, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(*blocked_on_);
}

// ThreadPoolCore: taking tasks

inline Worker* ThreadPoolCore::current_worker() const noexcept {
  Worker* const worker = current_worker_;
  return worker != nullptr && &worker->pool_ == this ? worker : nullptr;
}

[[noreturn]] inline void ThreadPoolCore::refuse() const {
  // acquire: pairs with close(), for why_broken_
  if (standing_.load(std::memory_order_acquire) == Standing::broken) {
    throw BrokenThreadPool(why_broken_);
  }
  throw ShutdownError();
}

inline void ThreadPoolCore::submit(StateBase& task) {
  task.set_owner(this);
  if (Worker* const worker = current_worker(); worker != nullptr) {
    worker->push(task);
  } else if (settings_.max_pending == 0) {
    push(task);
  } else if (push_where_room(task, [&](std::size_t limit) {
               const std::size_t elsewhere = prioritized_.size();
               const auto push = queue_.push(&task, limit > elsewhere ? limit - elsewhere : 0);
               if (push == Queue::Push::closed) refuse();
               return push == Queue::Push::done;
             })) {
    ensure_worker(task);
  }
}

inline void ThreadPoolCore::submit(StateBase& task, const TaskOptions& options) {
  if (!options.timeout.forever()) {
    throw std::invalid_argument(
        "a thread cannot be killed: .timeout is for the tasks of a ProcessPoolExecutor");
  }
  const auto now = Clock::now();
  auto start = options.start_at;
  if (options.delay > options.delay.zero()) {
    const auto after = options.delay < no_time - now ? now + options.delay : no_time;
    if (after > start) start = after;
  }
  if (start <= now && options.priority == 0) {
    submit(task);
    return;
  }
  task.set_owner(this);
  if (start > now) {
    push_at(start, task);
  } else if (settings_.max_pending == 0 || is_worker_thread()) {
    static_cast<void>(push_prioritized(task, options.priority, Queue::unbounded));
  } else if (!push_where_room(task, [&](std::size_t limit) {
               return push_prioritized(task, options.priority, limit);
             })) {
    return;
  }
  ensure_worker(task);
}

inline void ThreadPoolCore::push(StateBase& task) {
  if (queue_.push(&task) == Queue::Push::closed) refuse();  // Z1
  ensure_worker(task);
}

/// Makes sure that somebody will run a task that was just queued. Only the very first thread can
/// fail to start so that nobody is there: then the task is taken back.
inline void ThreadPoolCore::ensure_worker(StateBase& task) {
  if (live_.load(std::memory_order_relaxed) != 0) {
    notify();
    return;
  }
  std::exception_ptr failure;
  if (start_worker(&failure) || failure == nullptr) return;
  // A null failure means that the pool was closed meanwhile: shutdown looks after the queue.
  if (live_.load(std::memory_order_relaxed) == 0 && revoke(task)) std::rethrow_exception(failure);
}

/// Makes a queued task one that workers pass over. False: somebody has begun it.
inline bool ThreadPoolCore::revoke(StateBase& task) noexcept {
  task.add_reference();  // the queue keeps one, the caller gets its own back
  if (task.claim(Phase::setting) || task.move(Phase::posted, Phase::setting)) return true;
  task.release();
  return false;
}

inline void ThreadPoolCore::drop_refused(StateBase& task, int references) noexcept {
  if (!task.claim(Phase::setting)) task.move(Phase::posted, Phase::setting);
  task.discard();
  task.publish(Phase::cancelled);
  while (references-- > 0) task.release();
}

/// Calls `try_push(limit)` until it succeeds, by the pool's policy for a full queue. False: the
/// task was run right here.
template <class TryPush>
bool ThreadPoolCore::push_where_room(StateBase& task, TryPush try_push) {
  for (;;) {
    const std::uint32_t epoch = room_.load(std::memory_order_seq_cst);
    if (try_push(settings_.max_pending)) return true;
    switch (settings_.when_full) {
      case WhenFull::throw_error:
        throw QueueFullError("the executor has " + std::to_string(settings_.max_pending) +
                             " pending tasks, as many as .max_pending allows");
      case WhenFull::run_in_caller:
        in_callers_.fetch_add(1, std::memory_order_seq_cst);
        run_here(task);
        in_callers_.fetch_sub(1, std::memory_order_seq_cst);
        tell_idle_waiters();
        return false;
      case WhenFull::block:
        break;
    }
    // Dekker with made_room: either it sees this submitter, or this sees the room or its epoch.
    blocked_submits_.fetch_add(1, std::memory_order_seq_cst);
    if (queue_.size() + prioritized_.size() >= settings_.max_pending &&
        standing_.load(std::memory_order_seq_cst) == Standing::open) {
      concurrent::detail::os::futex_wait(room_, epoch);
    }
    blocked_submits_.fetch_sub(1, std::memory_order_relaxed);
  }
}

inline void ThreadPoolCore::run_here(StateBase& task) noexcept {
  if (task.phase() == Phase::posted) {
    task.execute();
    task.destroy();
    return;
  }
  if (task.claim(Phase::executing)) task.publish(task.execute());
  task.release();
}

inline void ThreadPoolCore::made_room() noexcept {
  if (settings_.max_pending == 0) return;
  if (blocked_submits_.load(std::memory_order_seq_cst) == 0) return;
  room_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(room_);
}

inline void ThreadPoolCore::push_at(Clock::time_point start, StateBase& task) {
  const std::scoped_lock lock(waiting_mutex_);  // against close
  if (standing_.load(std::memory_order_relaxed) != Standing::open) refuse();
  delayed_.add(start, &task);
}

/// False: `limit` tasks are queued already.
inline bool ThreadPoolCore::push_prioritized(StateBase& task, int priority, std::size_t limit) {
  const std::scoped_lock lock(waiting_mutex_);  // against close
  if (standing_.load(std::memory_order_relaxed) != Standing::open) refuse();
  if (limit != Queue::unbounded && queue_.size() + prioritized_.size() >= limit) return false;
  prioritized_.add(priority, &task);
  return true;
}

/// Queues delayed tasks whose time has come.
inline void ThreadPoolCore::move_due() noexcept {
  const auto now = Clock::now();
  while (StateBase* const task =
             delayed_.pop_if([now](Clock::time_point due) { return due <= now; })) {
    accept(*task);
  }
}

/// Queues a task that was accepted before, by its priority.
inline void ThreadPoolCore::accept(StateBase& task) noexcept {
  const TaskOptions* const options = task.options();
  try {
    if (options != nullptr && options->priority != 0) {
      prioritized_.add(options->priority, &task);
    } else {
      queue_.push_accepted(&task);
    }
  } catch (...) {  // std::bad_alloc
    task.fail(std::current_exception());
    task.release();
  }
}

// ThreadPoolCore: tasks that wait for futures

inline void ThreadPoolCore::enter(WaitingTask& task) {
  const std::scoped_lock lock(waiting_mutex_);
  if (standing_.load(std::memory_order_relaxed) != Standing::open) refuse();
  task.as_state().set_owner(this);
  task.next = waiting_;
  if (waiting_ != nullptr) waiting_->previous = &task;
  waiting_ = &task;
  waiting_count_.fetch_add(1, std::memory_order_seq_cst);
}

inline void ThreadPoolCore::leave(WaitingTask& task) noexcept {
  bool last = false;
  {
    const std::scoped_lock lock(waiting_mutex_);
    (task.previous != nullptr ? task.previous->next : waiting_) = task.next;
    if (task.next != nullptr) task.next->previous = task.previous;
    last = waiting_count_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  }
  if (!last) return;
  if (standing_.load(std::memory_order_seq_cst) != Standing::open) sleepers_.wake_all();
  tell_idle_waiters();
}

inline void ThreadPoolCore::enqueue(StateBase& task) noexcept {
  accept(task);
  if (live_.load(std::memory_order_relaxed) == 0) start_worker();
  notify();
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < started; ++i) {
    workers_[i].load(std::memory_order_acquire)->wake_from_wait();
  }
}

// ThreadPoolCore: workers

/// Wakes or starts a worker if a task that was just queued needs one.
inline void ThreadPoolCore::notify() noexcept {
  if (sleepers_.searching() != 0) return;                         // Z2
  if (sleepers_.sleeping() != 0 && sleepers_.wake_one()) return;  // Z3
  if (started_.load(std::memory_order_relaxed) < settings_.max_workers) start_worker();
}

/// Starts one more thread; false when there are enough, or when the system refuses (then *failure
/// says why; those that run will do).
inline bool ThreadPoolCore::start_worker(std::exception_ptr* failure) noexcept {
  const std::scoped_lock lock(starting_);
  const std::size_t index = started_.load(std::memory_order_relaxed);
  if (index >= settings_.max_workers) return false;
  if (standing_.load(std::memory_order_seq_cst) == Standing::broken) return false;
  // Another thread may just have started the one that this task needed.
  if (index != 0 && sleepers_.searching() != 0) return true;
  try {
    auto worker = std::make_unique<Worker>(*this, index);
    Worker* const started = worker.get();
    const bool searches = !settings_.initializer;
    keep_alive();
    live_.fetch_add(1, std::memory_order_seq_cst);
    if (searches) sleepers_.begin_search();
    try {
      // The thread may end and be joined only after it is in workers_: join() takes starting_.
      started->thread = std::thread([started] { started->main(); });
    } catch (...) {
      if (searches) sleepers_.end_search();
      live_.fetch_sub(1, std::memory_order_seq_cst);
      let_go();
      throw;
    }
    workers_[index].store(worker.release(), std::memory_order_release);
    started_.store(index + 1, std::memory_order_release);
    return true;
  } catch (...) {
    if (failure != nullptr) *failure = std::current_exception();
    return false;
  }
}

inline bool ThreadPoolCore::has_work() const noexcept {
  if (!queue_.empty() || !prioritized_.empty()) return true;
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < started; ++i) {
    if (!workers_[i].load(std::memory_order_acquire)->deque_.empty()) return true;
  }
  return !delayed_.empty() && delayed_.first(no_time) <= Clock::now();
}

inline StateBase* ThreadPoolCore::steal(std::size_t thief) noexcept {
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t step = 1; step < started; ++step) {
    const std::size_t victim = (thief + step) % started;
    auto& deque = workers_[victim].load(std::memory_order_acquire)->deque_;
    while (!deque.empty()) {
      if (StateBase* const task = deque.steal().item; task != nullptr) return task;
    }
  }
  return nullptr;
}

/// Tasks move from the waiting room and from `delayed_` to a queue, and no task enters either once
/// the pool is closed: so the queues are looked at last, or one on its way would be overlooked.
inline bool ThreadPoolCore::may_leave() const noexcept {
  return standing_.load(std::memory_order_seq_cst) != Standing::open &&
         waiting_count_.load(std::memory_order_seq_cst) == 0 && delayed_.empty() && !has_work();
}

inline void ThreadPoolCore::worker_left() noexcept {
  live_.fetch_sub(1, std::memory_order_seq_cst);
  // One leaves, so the others should look whether they may.
  if (standing_.load(std::memory_order_seq_cst) != Standing::open) sleepers_.wake_all();
  tell_idle_waiters();
  release();
}

inline bool ThreadPoolCore::is_idle() noexcept {
  return waiting_count_.load(std::memory_order_seq_cst) == 0 && delayed_.empty() && !has_work() &&
         in_callers_.load(std::memory_order_seq_cst) == 0 && sleepers_.searching() == 0 &&
         sleepers_.sleeping() == live_.load(std::memory_order_seq_cst) && !has_work();
}

inline void ThreadPoolCore::tell_idle_waiters() noexcept {
  if (idle_waiters_.load(std::memory_order_seq_cst) == 0) return;
  idle_epoch_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(idle_epoch_);
}

inline bool ThreadPoolCore::wait_idle(Deadline deadline) {
  if (is_worker_thread()) {
    throw Error("a worker cannot wait until its own pool is idle: it is busy itself");
  }
  delayed_.purge();
  idle_waiters_.fetch_add(1, std::memory_order_seq_cst);
  bool idle = false;
  for (;;) {
    const std::uint32_t epoch = idle_epoch_.load(std::memory_order_seq_cst);
    idle = is_idle();
    if (idle || deadline.passed()) break;
    concurrent::detail::os::futex_wait(idle_epoch_, epoch, deadline);
  }
  idle_waiters_.fetch_sub(1, std::memory_order_seq_cst);
  return idle;
}

// ThreadPoolCore: the end

inline void ThreadPoolCore::close(Standing standing) noexcept {
  {
    const std::scoped_lock lock(waiting_mutex_);
    Standing expected = Standing::open;
    // release: for why_broken_; seq_cst: for may_leave and the blocked submitters
    standing_.compare_exchange_strong(expected, standing, std::memory_order_seq_cst);
  }
  queue_.close();
  room_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(room_);
}

/// Takes everything that nobody has begun and hands it to `drop`, which completes it.
template <class Drop>
void ThreadPoolCore::drain(Drop drop) noexcept {
  const auto finish = [&drop](StateBase* task) {
    if (task->phase() == Phase::posted) {
      task->discard();
      task->destroy();
      return;
    }
    drop(*task);
    task->release();
  };
  while (StateBase* const task = prioritized_.pop_if([](int) { return true; })) finish(task);
  while (StateBase* const task = delayed_.pop_if([](Clock::time_point) { return true; })) {
    finish(task);
  }
  while (StateBase* const task = queue_.pop()) finish(task);
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < started; ++i) {
    auto& deque = workers_[i].load(std::memory_order_acquire)->deque_;
    while (!deque.empty()) {
      if (StateBase* const task = deque.steal().item; task != nullptr) finish(task);
    }
  }
  for (;;) {
    StateBase* waiting = nullptr;
    {
      const std::scoped_lock lock(waiting_mutex_);
      for (WaitingTask* at = waiting_; at != nullptr && waiting == nullptr; at = at->next) {
        // A task that is just leaving holds references still, or is past them.
        if (!at->as_state().done() && at->as_state().try_add_reference()) waiting = &at->as_state();
      }
    }
    if (waiting == nullptr) return;
    drop(*waiting);
    waiting->release();
  }
}

inline void ThreadPoolCore::shutdown(bool wait, bool cancel_futures) {
  close(Standing::shut);
  if (cancel_futures) {
    drain([](StateBase& task) { task.cancel(); });
  } else {
    delayed_.purge();
  }
  if (has_work() || !delayed_.empty() || waiting_count_.load(std::memory_order_seq_cst) != 0) {
    std::exception_ptr failure;
    if (live_.load(std::memory_order_seq_cst) == 0) start_worker(&failure);
    if (failure != nullptr) drain([&failure](StateBase& task) { task.fail(failure); });
  }
  sleepers_.wake_all();
  if (!wait) return;
  if (is_worker_thread()) {
    throw Error("a worker cannot wait for the end of its own pool: use shutdown(false)");
  }
  join();
}

inline void ThreadPoolCore::break_pool(const std::exception_ptr& error) noexcept {
  std::string why = "A thread initializer failed, the thread pool is not usable anymore";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    why += std::string(": ") + exception.what();
  } catch (...) {
    why += ": not derived from std::exception";
  }
  {
    const std::scoped_lock lock(starting_);
    if (why_broken_.empty()) why_broken_ = why;
  }
  close(Standing::broken);
  drain([&why](StateBase& task) { task.fail(std::make_exception_ptr(BrokenThreadPool(why))); });
  sleepers_.wake_all();
}

inline void ThreadPoolCore::join() noexcept {
  const std::scoped_lock lock(joining_);
  for (std::size_t i = 0;; ++i) {
    {
      const std::scoped_lock no_start(starting_);
      if (i >= started_.load(std::memory_order_relaxed)) return;
    }
    std::thread& thread = workers_[i].load(std::memory_order_acquire)->thread;
    if (thread.joinable()) thread.join();
  }
}

/// The executor goes. In one of its own workers (a callback destroys the pool, say) nobody can wait
/// for that worker, so the threads are left to finish what was accepted; they own what they need.
inline void ThreadPoolCore::abandon() noexcept {
  if (!is_worker_thread()) {
    shutdown(true, false);
    release();
    return;
  }
  shutdown(false, false);
  {
    const std::scoped_lock lock(joining_, starting_);
    const std::size_t started = started_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < started; ++i) {
      std::thread& thread = workers_[i].load(std::memory_order_relaxed)->thread;
      if (thread.joinable()) thread.detach();
    }
  }
  release();
}

inline void ThreadPoolCore::keep_alive() noexcept {
  references_.fetch_add(1, std::memory_order_relaxed);  // made from an existing reference
}

inline void ThreadPoolCore::release() noexcept {
  // acq_rel: the last one sees what the others did
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

inline ThreadPoolCore::~ThreadPoolCore() {
  // What a thread that could not start left behind; nobody else is here.
  while (StateBase* const task = queue_.pop()) task->release();
  const std::size_t started = started_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < started; ++i) delete workers_[i].load(std::memory_order_relaxed);
}

}  // namespace concurrent::futures::detail
