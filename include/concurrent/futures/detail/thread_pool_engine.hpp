// SPDX-License-Identifier: MIT
#pragma once

// The engine's moving parts; thread_pool_core.hpp says how they work together.

#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/thread_pool_core.hpp>

namespace concurrent::futures::detail {

// Worker: the thread

CONCURRENT_INLINE void Worker::live() noexcept {
  char name[concurrent::detail::os::thread_name_limit + 1];
  const std::string& prefix = pool_.settings_.thread_name_prefix;
  concurrent::detail::os::write_thread_name(
      name, prefix.empty() ? "ThreadPoolExecutor" : prefix.c_str(), index_);
  concurrent::detail::os::set_thread_name(name);
  ThreadPoolCore::current_worker_ = this;
  current_helper = this;
  // A worker's first search began when the thread was asked for, so that a burst of submits starts
  // one thread after another; but an initializer may take its time, and others must start
  // meanwhile.
  searching_ = pool_.settings_.run_initializer == nullptr;
  if (searching_ || pool_.settings_.run_initializer(pool_)) {
    for (;;) {
      StateBase* task = stays_away_ ? nullptr : next();
      if (task == nullptr) task = search();
      if (task == nullptr) {
        if (sleep()) continue;
        break;
      }
      __builtin_prefetch(task, 1);  // another core has written it; it arrives meanwhile
      end_search();
      run(*task);
    }
  }
  end_search();
  current_helper = nullptr;
  ThreadPoolCore::current_worker_ = nullptr;
  pool_.worker_left();
}

CONCURRENT_INLINE void Worker::begin_search() noexcept {
  if (searching_) return;
  searching_ = true;
  pool_.sleepers_.begin_search();  // Z4
}

CONCURRENT_INLINE void Worker::end_search() noexcept {
  if (!std::exchange(searching_, false)) return;
  if (!pool_.sleepers_.end_search()) return;  // Z5
  if (pool_.has_work() || pool_.nobody_keeps_time()) pool_.notify();
}

/// The queue looks empty to this worker; true: it stays away from it for a moment.
///
/// Where tasks come about as fast as it runs them, it and who submits them would take the queue's
/// cache lines from each other for every single task. So after a few runs of few tasks it stays
/// away, and then finds many; if it does not, it does that half as often. Runs after which it has
/// to wait for the next task are not counted: there is no such contest where somebody waits for
/// each result.
CONCURRENT_INLINE bool Worker::falls_into_step() noexcept {
  constexpr std::uint64_t many = 8;
  constexpr std::uint32_t most_patience = 1024;
  const std::uint64_t popped = pool_.queue_.popped();
  const std::uint64_t run = popped - std::exchange(popped_before_, popped);
  const bool was_away = std::exchange(was_away_, false);
  if (run == 0 || pool_.cpus_ == 1) return false;  // 0: the task came from elsewhere
  if (was_away) {
    if (run >= many) {
      patience_ = least_patience;
    } else if (patience_ < most_patience) {
      patience_ *= 2;
    }
  }
  short_runs_ = was_away || run >= many ? 0 : short_runs_ + 1;
  stays_away_ = short_runs_ >= patience_ && deque_.empty();
  return stays_away_;
}

/// Looks for work for a moment before it sleeps. One worker does so; the others sleep at once.
CONCURRENT_INLINE StateBase* Worker::search() noexcept {
  constexpr std::uint64_t absence = 3'000;  // ns
  constexpr int turns_at_once = 2;
  begin_search();
  const bool stay_away = std::exchange(stays_away_, false);
  if (stay_away) short_runs_ = 0;
  if (pool_.cpus_ == 1 || pool_.sleepers_.searching() > 1) return next();
  if (stay_away) {
    concurrent::detail::os::cpu_relax_for(absence);
    was_away_ = true;
  }
  // Who has woken this worker may be behind it on the same processor.
  SpinWait wait(std::exchange(has_slept_, false) ? SpinWait::FirstYield::at_once
                                                 : SpinWait::FirstYield::later);
  int turns = 0;
  do {
    if (pool_.has_work()) {
      if (StateBase* const task = next(); task != nullptr) {
        if (turns > turns_at_once) short_runs_ = 0;
        return task;
      }
    }
    ++turns;
  } while (wait.turn());
  short_runs_ = 0;
  return next();
}

/// Sleeps until there may be work; false when the thread's life is over.
[[gnu::cold]] CONCURRENT_INLINE bool Worker::sleep() noexcept {
  Sleepers& sleepers = pool_.sleepers_;
  sleepers.sit_down(seat_);                     // Z6
  sleepers.end_search();                        // Z7
  if (pool_.has_work() || pool_.may_leave()) {  // Z8
    sleepers.get_up(seat_);
    return pool_.has_work() || !pool_.may_leave();
  }
  has_slept_ = true;
  pool_.tell_idle_waiters();
  const OrderedTasks* const ordered = pool_.ordered();
  if (ordered == nullptr) {
    sleepers.sleep(seat_, Deadline());
    return true;
  }
  // One sleeper keeps the time for the earliest delayed task; relaxed: an alarm too many is
  // harmless, and nobody_keeps_time looks after one too few.
  const auto due = ordered->first_due();
  auto armed = pool_.alarm_.load(std::memory_order_relaxed);
  const bool keeps_time = due.time_since_epoch().count() < armed &&
                          pool_.alarm_.compare_exchange_strong(
                              armed, due.time_since_epoch().count(), std::memory_order_relaxed);
  sleepers.sleep(seat_, keeps_time ? Deadline(due) : Deadline());
  if (keeps_time) {
    pool_.alarm_.store(OrderedTasks::no_time.time_since_epoch().count(), std::memory_order_relaxed);
  }
  return true;
}

// Worker: tasks

CONCURRENT_INLINE void Worker::push(StateBase& task) {
  if (pool_.standing_.load(std::memory_order_relaxed) != ThreadPoolCore::Standing::open) {
    pool_.refuse();
  }
  deque_.push({&task, pool_.queue_.pushed()});
  looks_left_ += looks_per_push;
  pool_.notify();
}

/// The worker's own oldest task; with `only_if_due`, if everything that came before it was taken.
CONCURRENT_INLINE StateBase* Worker::next_own(bool only_if_due) noexcept {
  std::uint64_t ticket = 0;
  while (deque_.oldest_ticket(ticket)) {
    if (only_if_due && ticket > pool_.queue_.popped()) return nullptr;
    if (StateBase* const task = deque_.steal().item; task != nullptr) return task;
  }
  return nullptr;
}

CONCURRENT_INLINE StateBase* Worker::next() noexcept {
  OrderedTasks* const ordered = pool_.ordered();
  if (ordered != nullptr) {
    if (StateBase* const task = ordered->next_urgent(); task != nullptr) {
      pool_.made_room();
      return task;
    }
  }
  if (StateBase* const task = next_own(true)) return task;
  if (StateBase* const task = pool_.queue_.pop()) {
    pool_.made_room();
    return task;
  }
  if (StateBase* const task = next_own(false)) return task;
  if (StateBase* const task = pool_.steal(index_)) return task;
  if (ordered == nullptr) return nullptr;
  StateBase* const task = ordered->next();
  if (task != nullptr) pool_.made_room();
  return task;
}

/// Runs what a queue gave, with the reference that the queue had.
CONCURRENT_INLINE void Worker::run(StateBase& task) noexcept {
  // relaxed: whoever looks too late runs what it has in its hands
  if (pool_.cancelling_.load(std::memory_order_relaxed)) [[unlikely]] {
    return ThreadPoolCore::drop_queued(task, ThreadPoolCore::cancel_one, nullptr);
  }
  const bool posted = task.phase() == Phase::posted;
  if (!posted && !task.claim(Phase::executing)) {
    drop(task);
    return;
  }
  const Phase outcome = task.execute();
  if (pool_.queue_.looks_empty()) begin_search_early();
  if (posted) {
    task.destroy();
    return;
  }
  // Callbacks and the result's destructor may take their time, or wait for a task that is submitted
  // only now: until then this worker looks for nothing.
  task.publish(outcome, [this] { end_search(); });
  if (task.release_done()) destroy(task, outcome);
}

/// Before the outcome is visible: whoever sees it and submits the next task finds this worker
/// looking for it already, or away for a moment.
[[gnu::noinline]] CONCURRENT_INLINE void Worker::begin_search_early() noexcept {
  if (falls_into_step() || !pool_.has_work()) begin_search();
}

[[gnu::noinline]] CONCURRENT_INLINE void Worker::destroy(StateBase& task, Phase outcome) noexcept {
  if (outcome != Phase::value || !task.may_stay()) end_search();
  task.destroy();
}

/// Runs a task in place, on behalf of one that waits for it.
CONCURRENT_INLINE void Worker::run_claimed(StateBase& task) noexcept {
  task.publish(task.execute());
}

/// If the target is the newest in this worker's deque, takes it from there and claims it.
CONCURRENT_INLINE bool Worker::take_newest(StateBase& target) noexcept {
  if (!deque_.newest_is(&target)) return false;
  if (deque_.pop().item == nullptr) return false;  // a thief was faster
  const bool claimed = target.claim(Phase::executing);
  target.release();  // the deque's reference, not the last: who waits holds one
  return claimed;
}

/// Claims a task wherever it is queued, and leaves its entry behind. For a worker that is the only
/// one: then nobody else comes upon what has been run, and taking it out would cost more.
CONCURRENT_INLINE bool Worker::claim_in_place(StateBase& target) noexcept {
  if (pool_.settings_.max_workers != 1 || left_behind_ >= most_left_behind) return false;
  if (target.owner() != &pool_ || !target.may_stay()) return false;
  if (!target.claim(Phase::executing)) return false;
  ++left_behind_;
  return true;
}

/// As take_newest with one that is not the newest, as when a task waits for what it submitted in
/// the order in which it submitted it. What is newer is turned round, so that the next one to be
/// waited for is the newest, and other workers begin at the far end: if they went on at the near
/// end they would take just what will be waited for next, and one worker would watch the other
/// work.
[[gnu::noinline]] CONCURRENT_INLINE bool Worker::take_sibling(StateBase& target) noexcept {
  constexpr std::int64_t few = 16;
  if (looks_left_ <= 0) return false;
  const bool alone = pool_.settings_.max_workers == 1;  // nobody to leave the far end to
  const std::int64_t most = alone && few < looks_left_ ? few : looks_left_;
  std::int64_t looked_at = 0;
  using Rest = WorkDeque<StateBase>::Rest;
  const bool taken =
      deque_.take(&target, most, alone ? Rest::as_it_was : Rest::reversed, looked_at);
  looks_left_ -= looked_at;
  show_again();
  if (!taken) return false;
  const bool claimed = target.claim(Phase::executing);
  target.release();  // the deque's reference, not the last: who waits holds one
  return claimed;
}

/// Before this worker watches another one run what was the oldest of these tasks: the next oldest
/// is what it will want next, and others should leave it that one.
[[gnu::cold, gnu::noinline]] CONCURRENT_INLINE void Worker::turn_round() noexcept {
  if (pool_.settings_.max_workers == 1) return;
  const std::int64_t size = deque_.size();
  if (size < 2 || size > looks_left_) return;
  looks_left_ -= size;
  deque_.turn_round();
  show_again();
}

/// After this worker has looked through its deque and so hidden tasks for a moment, whether it got
/// what it wanted or a thief did: who looked for work then may have gone to sleep, and a cancelling
/// end has overlooked them.
CONCURRENT_INLINE void Worker::show_again() noexcept {
  if (pool_.settings_.max_workers != 1 && !deque_.empty()) pool_.notify();
  pool_.cancel_if_cancelling();
}

/// Drops the newest entries of this worker's deque whose tasks were run where they lay, so that
/// they do not pile up while the worker never runs dry.
[[gnu::noinline]] CONCURRENT_INLINE void Worker::drop_left_behind() noexcept {
  constexpr std::int64_t most = 16;
  const auto is_open = [](const StateBase& task) {
    const Phase phase = task.phase();
    return phase == Phase::pending || phase == Phase::posted;
  };
  StateBase* dropped[most];
  std::int64_t count = most;
  while (count == most) {
    count = deque_.take_newest_until(is_open, dropped, most);
    show_again();
    // Only now, as a result's destructor may submit.
    for (std::int64_t i = 0; i < count; ++i) drop(*dropped[i]);
  }
  if (deque_.size() != 1) return;  // the oldest was left to the thieves
  const auto oldest = deque_.pop();
  if (oldest.item == nullptr) return;
  if (is_open(*oldest.item)) {
    deque_.push(oldest);  // within the capacity that it had
    show_again();
  } else {
    drop(*oldest.item);
  }
}

/// Lets go of a task that a queue gave and that somebody else has settled, or this worker where it
/// lay.
CONCURRENT_INLINE void Worker::drop(StateBase& task) noexcept {
  if (left_behind_ > 0 && task.phase() != Phase::cancelled) --left_behind_;
  task.release();
}

/// Fork and join: what a task waits for is mostly what it submitted last.
CONCURRENT_INLINE Help Worker::run_one_for(StateBase& target) noexcept {
  if (take_newest(target)) {
    const StateBase* const below = last_left_behind_;
    run_claimed(target);
    if (below != nullptr && deque_.newest_is(below)) drop_left_behind();
    return Help::ran;
  }
  if (target.phase() == Phase::pending) {
    const bool left_behind = claim_in_place(target);
    if (left_behind || take_sibling(target)) {
      run_claimed(target);
      if (left_behind) last_left_behind_ = &target;
      return Help::ran;
    }
  }
  return run_one_for_deeper(target);
}

/// Follows what `target` waits for to its end, in a loop: a chain of `then` may have any length.
/// What waits for several futures needs all of them, so each is offered, the first one last.
[[gnu::cold, gnu::noinline]] CONCURRENT_INLINE Help
Worker::run_one_for_deeper(StateBase& target) noexcept {
  StateRef<StateBase> held;  // `at`, beyond the target
  StateBase* at = &target;
  Help otherwise = Help::nothing;
  for (;;) {
    const bool mine = at->phase() == Phase::pending && at->owner() == &pool_;
    std::size_t from = 0;
    StateBase* const dependency = at->acquire_dependency(from);
    if (dependency == nullptr) {
      if (!mine) return is_delayed(*at) ? Help::later : otherwise;
      if (left_behind_ != 0) drop_left_behind();
      if (!at->claim(Phase::executing)) return otherwise;
      ++left_behind_;
      run_claimed(*at);
      last_left_behind_ = at;
      return Help::ran;
    }
    if (mine) otherwise = Help::later;
    while (StateBase* const more = at->acquire_dependency(from)) {
      const Help help = run_one_for(*more);
      more->release();
      if (help == Help::nothing) continue;
      otherwise = Help::later;
      if (help == Help::ran) {
        dependency->release();
        return help;
      }
    }
    held = StateRef<StateBase>(dependency);
    at = dependency;
  }
}

CONCURRENT_INLINE bool Worker::wait(StateBase& target, Deadline deadline) noexcept {
  while (!target.done()) {
    const Help help = run_one_for(target);
    if (help == Help::nothing) {
      if (target.owner() == &pool_) turn_round();
      return target.wait(deadline);
    }
    if (help == Help::later && !wait_for_innermost(target, deadline)) return target.done();
  }
  return true;
}

/// Sleeps until there may be something to run for `target`. False: the deadline passed.
[[gnu::cold, gnu::noinline]] CONCURRENT_INLINE bool Worker::wait_for_innermost(
    StateBase& target, Deadline deadline) noexcept {
  StateRef<StateBase> held;
  StateBase* at = &target;
  while (StateBase* const dependency = at->acquire_dependency()) {
    held = StateRef<StateBase>(dependency);
    at = dependency;
  }
  const Deadline until = is_delayed(*at) ? wake_by(deadline) : deadline;
  // It may have become due, or what it waited for done, just now: this worker runs it, or nobody.
  if (at->phase() == Phase::pending && at->owner() == &pool_) return true;
  return at->wait(until) || !deadline.passed();
}

/// Whether it is a task of this pool that must not start yet.
[[gnu::cold]] CONCURRENT_INLINE bool Worker::is_delayed(StateBase& task) noexcept {
  OrderedTasks* const ordered = pool_.ordered();
  return ordered != nullptr && task.owner() == ordered && task.phase() == Phase::pending;
}

/// Queues the delayed tasks that are due now; one that becomes due later must be looked after by
/// this worker, if no other is free.
[[gnu::cold]] CONCURRENT_INLINE Deadline Worker::wake_by(Deadline deadline) noexcept {
  OrderedTasks* const ordered = pool_.ordered();
  if (ordered == nullptr) return deadline;
  ordered->move_due();
  pool_.notify();
  return ordered->first_due() < deadline.at() ? Deadline(ordered->first_due()) : deadline;
}

[[gnu::cold]] CONCURRENT_INLINE void Worker::block_on(std::atomic<std::uint32_t>& word) noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  blocked_on_ = &word;
}

[[gnu::cold]] CONCURRENT_INLINE void Worker::unblock() noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  blocked_on_ = nullptr;
}

[[gnu::cold]] CONCURRENT_INLINE void Worker::wake_from_wait() noexcept {
  const std::scoped_lock lock(blocked_mutex_);
  if (blocked_on_ == nullptr) return;
  blocked_on_->store(0, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(*blocked_on_);
}

// ThreadPoolCore: taking tasks

[[gnu::noinline]] CONCURRENT_INLINE ThreadPoolCore::ThreadPoolCore(std::size_t max_workers)
    : settings_{.max_workers = max_workers} {}

[[gnu::noinline]] CONCURRENT_INLINE ThreadPoolCore::ThreadPoolCore(Settings&& settings)
    : settings_(std::move(settings)) {}

CONCURRENT_INLINE Worker* ThreadPoolCore::current_worker() const noexcept {
  Worker* const worker = current_worker_;
  return worker != nullptr && &worker->pool_ == this ? worker : nullptr;
}

[[noreturn, gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::refuse() const {
  // acquire: pairs with close(), for why_broken_
  Standing standing = standing_.load(std::memory_order_acquire);
  while (standing == Standing::open) {  // the queue is closed, and just about to be told why
    std::this_thread::yield();
    standing = standing_.load(std::memory_order_acquire);
  }
  if (standing == Standing::broken) throw BrokenThreadPool(why_broken_);
  throw ShutdownError();
}

CONCURRENT_INLINE void ThreadPoolCore::submit(StateBase& task) {
  task.set_owner(this);
  if (Worker* const worker = current_worker(); worker != nullptr) {
    worker->push(task);
  } else if (settings_.push_where_room == nullptr) {
    if (queue_.push(&task) == Queue::Push::closed) refuse();  // Z1
    ensure_worker(task);
  } else if (settings_.push_where_room(*this, task, nullptr)) {
    ensure_worker(task);
  }
}

/// Makes sure that somebody will run a task that was just queued. Only the very first thread can
/// fail to start so that nobody is there: then the task is taken back.
CONCURRENT_INLINE void ThreadPoolCore::ensure_worker(StateBase& task) {
  // seq_cst: a worker that is live only after this look sees the task
  if (live_.load(std::memory_order_seq_cst) != 0) {
    notify();
  } else {
    start_first_worker(task);
  }
}

[[gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::start_first_worker(StateBase& task) {
  std::exception_ptr failure;
  if (start_worker(&failure)) return;
  if (failure == nullptr || live_.load(std::memory_order_seq_cst) != 0) {
    notify();  // another thread started one; or the pool was closed, and shutdown looks after it
    return;
  }
  const bool revoked = revoke(task);
  fail_queued(failure);  // others that relied on that thread meanwhile
  if (revoked) std::rethrow_exception(failure);
}

[[gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::fail_one(
    StateBase& task, const std::exception_ptr& why) noexcept {
  task.fail(why);
}

/// Nobody is left to run what is queued.
[[gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::fail_queued(
    const std::exception_ptr& why) noexcept {
  drain_queues(fail_one, why);
}

/// Makes a queued task one that workers pass over. False: somebody has begun it.
[[gnu::cold]] CONCURRENT_INLINE bool ThreadPoolCore::revoke(StateBase& task) noexcept {
  task.add_reference();  // the queue keeps one, the caller gets its own back
  if (task.claim(Phase::setting) || task.move(Phase::posted, Phase::setting)) return true;
  task.release();
  return false;
}

[[gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::drop_refused(StateBase& task,
                                                                  int references) noexcept {
  if (!task.claim(Phase::setting)) task.move(Phase::posted, Phase::setting);
  task.discard();
  task.publish(Phase::cancelled);
  while (references-- > 0) task.release();
}

// ThreadPoolCore: a bounded queue

[[gnu::cold]] CONCURRENT_INLINE bool ThreadPoolCore::push_where_room(ThreadPoolCore& pool,
                                                                     StateBase& task,
                                                                     TryPush try_push) {
  if (try_push == nullptr) try_push = &ThreadPoolCore::try_push;
  for (;;) {
    const std::uint32_t epoch = pool.room_.load(std::memory_order_seq_cst);
    if (try_push(pool, task, pool.settings_.max_pending)) return true;
    switch (pool.settings_.when_full) {
      case WhenFull::throw_error:
        throw QueueFullError("the executor has as many pending tasks as .max_pending allows: " +
                             std::to_string(pool.settings_.max_pending));
      case WhenFull::run_in_caller:
        pool.run_here(task);
        return false;
      case WhenFull::block:
        pool.wait_for_room(epoch);
    }
  }
}

CONCURRENT_INLINE bool ThreadPoolCore::try_push(ThreadPoolCore& pool, StateBase& task,
                                                std::size_t limit) {
  const OrderedTasks* const ordered = pool.ordered();
  const std::size_t elsewhere = ordered != nullptr ? ordered->queued() : 0;
  const auto push = pool.queue_.push(&task, limit > elsewhere ? limit - elsewhere : 0);
  if (push == Queue::Push::closed) pool.refuse();
  return push == Queue::Push::done;
}

CONCURRENT_INLINE void ThreadPoolCore::wait_for_room(std::uint32_t epoch) noexcept {
  // Dekker with made_room: either it sees this submitter, or this sees the room or its epoch.
  blocked_submits_.fetch_add(1, std::memory_order_seq_cst);
  const std::size_t queued = queue_.size() + (ordered() != nullptr ? ordered()->queued() : 0);
  if (queued >= settings_.max_pending &&
      standing_.load(std::memory_order_seq_cst) == Standing::open) {
    concurrent::detail::os::futex_wait(room_, epoch);
  }
  blocked_submits_.fetch_sub(1, std::memory_order_relaxed);
}

CONCURRENT_INLINE void ThreadPoolCore::run_here(StateBase& task) noexcept {
  keep_alive();  // the task may destroy the executor
  in_callers_.fetch_add(1, std::memory_order_seq_cst);
  if (task.phase() == Phase::posted) {
    task.execute();
    task.destroy();
  } else {
    if (task.claim(Phase::executing)) task.publish(task.execute());
    task.release();
  }
  in_callers_.fetch_sub(1, std::memory_order_seq_cst);
  tell_idle_waiters();
  release();
}

CONCURRENT_INLINE void ThreadPoolCore::made_room() noexcept {
  if (settings_.max_pending == 0) return;
  // A read-modify-write, since the queue's head_ is stored with no order: it comes either
  // before the submitter's own, which then sees the room, or after it, and sees the submitter.
  if (blocked_submits_.fetch_add(0, std::memory_order_seq_cst) == 0) return;
  room_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(room_);
}

// ThreadPoolCore: workers

/// Wakes or starts a worker if a task that was just queued needs one.
CONCURRENT_INLINE void ThreadPoolCore::notify() noexcept {
  if (sleepers_.searching() != 0) return;  // Z2
  if (sleepers_.sleeping() != 0) {         // Z3
    sleepers_.wake_one();                  // whoever was faster looks after this task too
    return;
  }
  if (started_.load(std::memory_order_relaxed) < settings_.max_workers) start_worker();
}

CONCURRENT_INLINE void ThreadPoolCore::rouse(std::size_t tasks) noexcept {
  for (std::size_t woken = 1; woken < tasks; ++woken) {  // submit has woken the first one
    const std::size_t sleeping = sleepers_.sleeping();
    const std::size_t awake = live_.load(std::memory_order_seq_cst) - sleeping;
    // A worker that left meanwhile may make it less than nothing, which is a lot: it is the end.
    if (sleeping == 0 || awake >= cpus_ || !has_work()) return;
    if (!sleepers_.wake_one()) return;
  }
}

/// Starts one more thread; false when there are enough, or when the system refuses (then *failure
/// says why; those that run will do).
[[gnu::cold]] CONCURRENT_INLINE bool ThreadPoolCore::start_worker(
    std::exception_ptr* failure) noexcept {
  const std::scoped_lock lock(starting_);
  const std::size_t index = started_.load(std::memory_order_relaxed);
  if (index >= settings_.max_workers) return false;
  if (standing_.load(std::memory_order_seq_cst) == Standing::broken) return false;
  // Another thread may just have started the one that this task needed, or a worker that was about
  // to sleep may have seen the task and got up.
  const bool needed =
      index == 0 || (sleepers_.searching() == 0 && (has_work() || nobody_keeps_time()));
  if (!needed) return true;
  const bool searches = settings_.run_initializer == nullptr;
  keep_alive();
  live_.fetch_add(1, std::memory_order_seq_cst);
  if (searches) sleepers_.begin_search();
  try {
    // It takes its place before it runs: who looks for work must see what it pushes, and who wakes
    // waiting workers must find it. If the thread cannot be started, the next attempt uses it.
    Worker* worker = workers_[index].load(std::memory_order_relaxed);
    if (worker == nullptr) {
      worker = new Worker(*this, index);
      workers_[index].store(worker, std::memory_order_release);
    }
    // seq_cst: before all that the thread does, in the order in which others look (Z8)
    started_.store(index + 1, std::memory_order_seq_cst);
    // The thread may end and be joined only after this assignment: join() takes starting_.
    worker->thread = std::thread([worker] { worker->live(); });
    if (abandoned_) worker->thread.detach();
    return true;
  } catch (...) {
    if (failure != nullptr) *failure = std::current_exception();
    started_.store(index, std::memory_order_seq_cst);
    live_.fetch_sub(1, std::memory_order_seq_cst);
    // Whoever pushed meanwhile relied on this search.
    if (searches && sleepers_.end_search() && has_work()) sleepers_.wake_one();
    release();
    return false;
  }
}

CONCURRENT_INLINE bool ThreadPoolCore::has_work() const noexcept {
  return !queue_.looks_empty() || has_work_elsewhere();
}

[[gnu::noinline]] CONCURRENT_INLINE bool ThreadPoolCore::has_work_elsewhere() const noexcept {
  if (!queue_.empty()) return true;
  const std::size_t started = started_.load(std::memory_order_seq_cst);  // before D7, for Z8
  for (std::size_t i = 0; i < started; ++i) {
    if (!workers_[i].load(std::memory_order_acquire)->deque_.empty()) return true;
  }
  return ordered() != nullptr && ordered()->ready();
}

/// Whether something was accepted that cannot start yet. Tasks move from the waiting room to the
/// ordered ones or the queue, and from the ordered ones to the queue, so who looks for any task
/// must look in that order, or one on its way would be overlooked.
CONCURRENT_INLINE bool ThreadPoolCore::has_more_to_come() const noexcept {
  return waiting_count_.load(std::memory_order_seq_cst) != 0 ||
         (ordered() != nullptr && !ordered()->empty());
}

[[gnu::cold]] CONCURRENT_INLINE bool ThreadPoolCore::may_leave() const noexcept {
  return standing_.load(std::memory_order_seq_cst) != Standing::open && !has_more_to_come() &&
         !has_work();
}

[[gnu::cold]] CONCURRENT_INLINE bool ThreadPoolCore::nobody_keeps_time() const noexcept {
  constexpr auto none = OrderedTasks::no_time;
  return ordered() != nullptr && ordered()->first_due() != none &&
         alarm_.load(std::memory_order_relaxed) == none.time_since_epoch().count();
}

/// From the workers after `thief`, and from that one last: to drain, any number will do.
[[gnu::noinline]] CONCURRENT_INLINE StateBase* ThreadPoolCore::steal(std::size_t thief) noexcept {
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t step = 1; step <= started; ++step) {
    const std::size_t victim = (thief + step) % started;
    auto& deque = workers_[victim].load(std::memory_order_acquire)->deque_;
    while (!deque.empty()) {
      if (StateBase* const task = deque.steal().item; task != nullptr) return task;
    }
  }
  return nullptr;
}

[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::worker_left() noexcept {
  live_.fetch_sub(1, std::memory_order_seq_cst);
  // One leaves, so the others should look whether they may.
  if (standing_.load(std::memory_order_seq_cst) != Standing::open) sleepers_.wake_all();
  tell_idle_waiters();
  release();
}

[[gnu::noinline]] CONCURRENT_INLINE bool ThreadPoolCore::is_idle() noexcept {
  return !has_more_to_come() && !has_work() && in_callers_.load(std::memory_order_seq_cst) == 0 &&
         sleepers_.searching() == 0 &&
         sleepers_.sleeping() == live_.load(std::memory_order_seq_cst) && !has_work();
}

[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::tell_idle_waiters() noexcept {
  if (idle_waiters_.load(std::memory_order_seq_cst) == 0) return;
  idle_epoch_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(idle_epoch_);
}

CONCURRENT_INLINE bool ThreadPoolCore::wait_idle(Deadline deadline) {
  if (is_worker_thread()) {
    throw Error("a worker cannot wait until its own pool is idle: it is busy itself");
  }
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

[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::close(Standing standing) noexcept {
  queue_.close();  // first: once standing_ says so workers leave, and nothing may come then
  {
    const std::scoped_lock lock(accepting_);
    // A pool that breaks after it was closed is broken, as in Python. release: for why_broken_;
    // seq_cst: for may_leave, enqueue and the blocked submitters
    if (standing_.load(std::memory_order_relaxed) != Standing::broken) {
      standing_.store(standing, std::memory_order_seq_cst);
    }
  }
  room_.fetch_add(1, std::memory_order_seq_cst);
  concurrent::detail::os::futex_wake_all(room_);
}

/// Takes everything from the queues and hands it to `drop`, which completes it.
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::drain_queues(
    Drop drop, const std::exception_ptr& why) noexcept {
  const auto next = [this]() -> StateBase* {
    if (ordered() != nullptr) {
      if (StateBase* const task = ordered()->take(); task != nullptr) return task;
    }
    if (StateBase* const task = queue_.pop(); task != nullptr) return task;
    return steal(0);
  };
  while (StateBase* const task = next()) drop_queued(*task, drop, why);
}

/// Hands to `drop` what a queue gave, with the reference that the queue had.
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::drop_queued(
    StateBase& task, Drop drop, const std::exception_ptr& why) noexcept {
  if (task.phase() == Phase::posted) {
    task.discard();
    task.destroy();
  } else {
    drop(task, why);
    task.release();
  }
}

[[gnu::cold]] CONCURRENT_INLINE void ThreadPoolCore::cancel_one(
    StateBase& task, const std::exception_ptr& /*why*/) noexcept {
  task.cancel();
}

/// The same with everything that nobody has begun.
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::drain(
    Drop drop, const std::exception_ptr& why) noexcept {
  drain_queues(drop, why);
  for (;;) {
    StateBase* waiting = nullptr;
    {
      const std::scoped_lock lock(accepting_);
      for (WaitingTask* at = waiting_; at != nullptr && waiting == nullptr; at = at->next_) {
        // One that is done is just leaving.
        StateBase& task = at->as_state();
        if (!task.done() && task.try_add_reference()) waiting = &task;
      }
    }
    if (waiting == nullptr) return;
    drop(*waiting, why);
    waiting->release();
  }
}

/// Takes no more tasks, and cancels what has not begun.
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::close_and_cancel() noexcept {
  close(Standing::shut);
  // seq_cst: a worker that puts tasks back into its deque does so before it reads this, or we see
  // them there
  cancelling_.store(true, std::memory_order_seq_cst);
  drain(cancel_one, nullptr);
}

CONCURRENT_INLINE void ThreadPoolCore::cancel_if_cancelling() noexcept {
  if (!cancelling_.load(std::memory_order_seq_cst)) return;
  drain_queues(cancel_one, nullptr);
}

[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::shutdown(bool wait) {
  end();
  if (!wait) return;
  if (is_worker_thread()) {
    throw Error("a worker cannot wait for the end of its own pool: use shutdown(false)");
  }
  join();
}

/// Closes the pool and sees to it that its threads leave once they have done what was accepted.
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::end() noexcept {
  close(Standing::shut);
  if (live_.load(std::memory_order_seq_cst) == 0 && (has_work() || has_more_to_come())) {
    // A task was accepted, and the thread for it is not there (yet).
    std::exception_ptr failure;
    if (!start_worker(&failure) && failure != nullptr) drain(fail_one, failure);
  }
  sleepers_.wake_all();
}

[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::join() noexcept {
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
[[gnu::noinline]] CONCURRENT_INLINE void ThreadPoolCore::abandon() noexcept {
  end();
  if (!is_worker_thread()) {
    join();
  } else {
    const std::scoped_lock lock(joining_);  // before starting_, as in join()
    const std::scoped_lock no_start(starting_);
    abandoned_ = true;  // for those that start later
    const std::size_t started = started_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < started; ++i) {
      std::thread& thread = workers_[i].load(std::memory_order_relaxed)->thread;
      if (thread.joinable()) thread.detach();
    }
  }
  release();
}

CONCURRENT_INLINE void ThreadPoolCore::keep_alive() noexcept {
  references_.fetch_add(1, std::memory_order_relaxed);  // made from an existing reference
}

CONCURRENT_INLINE void ThreadPoolCore::release() noexcept {
  // acq_rel: the last one sees what the others did
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

[[gnu::cold]] CONCURRENT_INLINE ThreadPoolCore::~ThreadPoolCore() {
  // Tasks that were revoked as no thread could be started, so who submitted them has completed
  // them; nobody else is here.
  drain_queues([](StateBase&, const std::exception_ptr&) {}, nullptr);
  for (std::size_t i = 0; i < settings_.max_workers; ++i) {
    delete workers_[i].load(std::memory_order_relaxed);  // also those that never ran
  }
  delete[] workers_;
  delete ordered_.load(std::memory_order_relaxed);
}

// ThreadPoolCore: an initializer that throws

CONCURRENT_INLINE bool ThreadPoolCore::initialize(ThreadPoolCore& pool) noexcept {
  try {
    pool.settings_.initializer();
    return true;
  } catch (...) {
    report_unraisable(std::current_exception(), "the initializer of a thread pool");
    pool.break_pool(std::current_exception());
    return false;
  }
}

CONCURRENT_INLINE void ThreadPoolCore::break_pool(const std::exception_ptr& error) noexcept {
  std::string why = "A thread initializer failed, the thread pool is not usable anymore: ";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    why += exception.what();
  } catch (...) {
    why += "not derived from std::exception";
  }
  {
    const std::scoped_lock lock(starting_);
    if (why_broken_.empty()) why_broken_ = why;
  }
  close(Standing::broken);
  drain(
      [](StateBase& task, const std::exception_ptr& reason) {
        try {  // a new exception object for each future
          std::rethrow_exception(reason);
        } catch (const BrokenThreadPool& broken) {
          task.fail(std::make_exception_ptr(broken));
        }
      },
      std::make_exception_ptr(BrokenThreadPool(why)));
  sleepers_.wake_all();
}

// ThreadPoolCore: tasks that wait for futures

CONCURRENT_INLINE void ThreadPoolCore::enter(WaitingTask& task) {
  const std::scoped_lock lock(accepting_);
  if (standing_.load(std::memory_order_relaxed) != Standing::open) refuse();
  task.as_state().set_owner(this);
  task.next_ = waiting_;
  if (waiting_ != nullptr) waiting_->previous_ = &task;
  waiting_ = &task;
  waiting_count_.fetch_add(1, std::memory_order_seq_cst);
}

CONCURRENT_INLINE void ThreadPoolCore::leave(WaitingTask& task) noexcept {
  bool last = false;
  {
    const std::scoped_lock lock(accepting_);
    (task.previous_ != nullptr ? task.previous_->next_ : waiting_) = task.next_;
    if (task.next_ != nullptr) task.next_->previous_ = task.previous_;
    last = waiting_count_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  }
  if (!last) return;
  if (standing_.load(std::memory_order_seq_cst) != Standing::open) sleepers_.wake_all();
  tell_idle_waiters();
}

/// A waiting worker may be waiting for a task that can be run only now.
CONCURRENT_INLINE void ThreadPoolCore::wake_waiting_workers() noexcept {
  const std::size_t started = started_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < started; ++i) {
    workers_[i].load(std::memory_order_acquire)->wake_from_wait();
  }
}

}  // namespace concurrent::futures::detail
