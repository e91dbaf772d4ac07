// SPDX-License-Identifier: MIT
#pragma once

// The engine's work: who does it, when, until when, and how it ends.

#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/process/engine.hpp>

namespace concurrent::futures::detail::process {

/// True when this thread has the role. Else the one who has it looks again before it goes.
CONCURRENT_INLINE bool Engine::enter_as_passer_by() noexcept {
  if (role_.try_enter()) return true;
  role_.leave_word();
  return role_.try_enter();
}

/// With the role, which it gives up, and maybe the mutex, too: does what there is to do.
CONCURRENT_INLINE void Engine::pass_by(bool fetch, std::unique_lock<std::mutex>& lock) noexcept {
  const auto self = fetch ? shared_from_this() : nullptr;  // a callback may destroy the pool
  work(fetch, lock);
  step_down(lock);
}

/// Gives up the role. Does what others leave to it; if that does not end, the manager goes on.
CONCURRENT_INLINE void Engine::step_down(std::unique_lock<std::mutex>& lock) noexcept {
  constexpr int most_rounds = 16;
  std::shared_ptr<Engine> self;
  for (int round = 0;; ++round) {
    role_.leave();
    if (!role_.has_word()) return;
    if (round == most_rounds) return alarm_.call();
    if (!role_.try_enter()) return;
    if (self == nullptr) self = shared_from_this();
    work(true, lock);  // the word may be about a result
  }
}

/// With the role and maybe the mutex, which is free afterwards.
CONCURRENT_INLINE void Engine::work(bool fetch, std::unique_lock<std::mutex>& lock) noexcept {
  passers_by_ = true;
  try {
    if (!ended_) drive(Driver::passer_by, fetch, lock);
  } catch (const std::exception& error) {  // no memory
    if (lock) lock.unlock();
    break_pool(std::string("a task could not be handed out: ") + error.what());
  }
  if (lock) lock.unlock();
  if (std::exchange(plan_changed_, false) && next_deadline().at() < planned_.at()) alarm_.call();
}

/// With the role: whether there is anything for a passer-by.
CONCURRENT_INLINE bool Engine::has_news() noexcept {
  return role_.has_word() || std::any_of(workers_.begin(), workers_.end(),
                                         [](auto& entry) { return entry.second.has_news(); });
}

CONCURRENT_INLINE void Engine::drive(Driver driver, bool fetch,
                                     std::unique_lock<std::mutex>& lock) {
  role_.take_word();
  std::size_t fetched = 0;
  if (fetch) {
    if (lock) lock.unlock();
    fetched = fetch_all(driver);
    fetched_ += fetched;
  }
  // A passer-by that has fetched has handed out, too, and what came later leaves word.
  if (fetched == 0 || driver == Driver::manager) {
    if (!lock) lock.lock();
    dispatch(lock);
    if (lock) lock.unlock();
  }
  listen_unless_promised();
}

CONCURRENT_INLINE void Engine::listen_unless_promised() noexcept {
  // relaxed: who leaves the count takes the role afterwards, or leaves word
  if (!napping_ && watchers_.load(std::memory_order_relaxed) == 0) listen();
}

/// From now on workers ring. What came just before is seen by the next round.
CONCURRENT_INLINE void Engine::listen() noexcept {
  for (auto& [key, worker] : workers_) {
    if (!worker.channel) continue;
    worker.channel.listen();                    // F1
    if (worker.has_news()) role_.leave_word();  // F2
  }
}

// The manager thread

CONCURRENT_INLINE void Engine::run() noexcept {
  manager_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);  // read by itself only
  os::set_thread_name("process_pool");
  while (!finished()) {
    try {
      manage();
    } catch (const std::exception& error) {
      if (!role_.mine()) role_.enter();
      break_pool(std::string("the pool's manager thread failed: ") + error.what());
      role_.leave();
    }
  }
  role_.enter();
  ended_ = true;
  try {
    end_workers();
  } catch (...) {  // out of memory; ending the server ends what is left
  }
  end_server();
  role_.leave();
  manager_id_.store({}, std::memory_order_relaxed);  // the next thread may get it
  const std::scoped_lock lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

CONCURRENT_INLINE void Engine::manage() {
  std::span<const epoll_event> events;
  std::unique_lock lock(mutex_, std::defer_lock);
  while (!finished()) {
    role_.enter();
    handle_all(events);
    check_deadlines();
    drive(Driver::manager, true, lock);
    check_queues();
    const Deadline until = plan();
    role_.leave();
    events = {};
    if (role_.has_word()) {
      std::this_thread::yield();  // whoever left it may come by again, and do it
      if (role_.has_word()) continue;
    }
    if (!finished()) events = poller_.wait(until);
  }
}

/// How long to sleep, and how: a nap ends by itself, and results may lie until then.
CONCURRENT_INLINE Deadline Engine::plan() {
  const bool others = std::exchange(passers_by_, false);
  const bool busy = std::exchange(fetched_, 0) != 0;
  bool queues = false;
  bool works = false;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, worker] : workers_) {
      works = works || !worker.tasks.empty();
      queues = queues || worker.tasks.size() > 1;
    }
  }
  plan_changed_ = false;
  planned_ = next_deadline();
  napping_ = works && (others || (busy && queues));
  if (!napping_) {
    listen_unless_promised();
    return planned_;
  }
  const Deadline nap(Clock::now() + (others ? long_nap : short_nap));
  if (nap.at() < planned_.at()) planned_ = nap;
  return planned_;
}

CONCURRENT_INLINE bool Engine::finished() const {
  const std::scoped_lock lock(mutex_);
  return broken_ || (shutdown_ && unfinished_ == 0 && waiting_.empty());
}

CONCURRENT_INLINE void Engine::handle_all(std::span<const epoll_event> events) {
  for (const epoll_event& event : events) handle(event.data.u64, event.events);
}

CONCURRENT_INLINE void Engine::handle(Key key, std::uint32_t events) {
  if (key == alarm_key) return alarm_.answer();
  if (key == control_key) return receive_replies();
  if (key == server_key) return server_ended();
  const Key channel_key = key & ~Key{1};
  const auto found = workers_.find(channel_key);
  if (found == workers_.end()) return;  // it went while this event was on its way
  if (key == channel_key && ending_) return;
  WorkerRecord& worker = found->second;
  if (key == channel_key) return pump(key, worker, events);
  // Its pidfd: it has ended. The fork server says how, unless something is wrong with that one; and
  // at the end nobody asks.
  poller_.remove(worker.process.number());
  if (!ending_) return lose(channel_key, worker);
  WorkerRecord ended;  // what it has kept is the user's, and so goes without the mutex
  const std::scoped_lock lock(mutex_);
  ended = std::move(worker);
  workers_.erase(found);
}

CONCURRENT_INLINE Deadline Engine::next_deadline() const noexcept {
  Deadline next = next_due_;
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, worker] : workers_) {
    Deadline queue;
    if (worker.tasks.size() > 1) queue = Deadline(worker.progress + patience_with_queue);
    for (const Deadline& other : {worker.deadline, worker.patience, queue}) {
      if (other.at() < next.at()) next = other;
    }
  }
  return next;
}

/// Whoever waits behind a task that takes its time is another worker's.
CONCURRENT_INLINE void Engine::check_queues() {
  bool taken_back = false;
  Clock::time_point now{};
  std::unique_lock lock(mutex_);
  for (auto& [key, worker] : workers_) {
    const std::size_t before = worker.tasks.size();
    if (before < 2) continue;
    if (now == Clock::time_point{}) now = Clock::now();
    if (!priorities_differ_ && now - worker.progress < patience_with_queue) continue;
    take_back_all(worker);
    taken_back = taken_back || worker.tasks.size() != before;
    worker.depth = 1;
    worker.progress = now;
    if (worker.state == State::busy) settle(key, worker);
  }
  if (taken_back) dispatch(lock);
}

CONCURRENT_INLINE void Engine::check_deadlines() {
  if (!timed_) return;
  std::vector<pid_t> given_up;
  bool timed = false;
  for (auto& [key, worker] : workers_) {
    if (worker.state == State::busy && worker.deadline.passed()) {
      const std::scoped_lock lock(mutex_);
      worker.doom = WorkerRecord::Doom::timeout;
      worker.deadline = {};
      os::signal_process(worker.process, SIGKILL);
    }
    if (worker.patience.passed()) {
      worker.patience = {};
      if (worker.complaint.empty()) {
        // Its channel is closed, but it lives: the task has closed it.
        worker.complaint = "closed its channel to the pool and was killed for that";
        os::signal_process(worker.process, SIGKILL);
        worker.patience = Deadline(Deadline::Clock::now() + std::chrono::seconds(1));
      } else {
        given_up.push_back(worker.pid);
      }
    }
    timed = timed || !worker.deadline.never() || !worker.patience.never();
  }
  timed_ = timed;
  for (const pid_t pid : given_up) worker_ended(pid, std::nullopt);
}

// The end

/// Fails everything that is not finished, each future with an exception of its own.
CONCURRENT_INLINE void Engine::break_pool(const std::string& why,
                                          PoolTaskPtr culprits_task) noexcept {
  const std::string text = "the process pool is broken: " + why;
  if (std::exchange(breaking_, true)) {
    if (culprits_task != nullptr) fail_broken(std::move(culprits_task), text);
    return;
  }
  for (auto& [key, worker] : workers_) {
    try {
      drain(key, worker);  // what the others had finished counts too
    } catch (...) {        // no memory for a result: it is not finished then
    }
  }
  std::vector<std::pair<pid_t, PoolTaskPtr>> running;
  std::vector<PoolTaskPtr> queued;
  std::vector<WaitingCallPtr> waiting;
  {
    const std::scoped_lock lock(mutex_);
    broken_ = text;
    closed_.store(true, std::memory_order_release);
    for (auto& [key, worker] : workers_) {
      take_back_all(worker);
      for (auto& handed : worker.tasks) {
        if (handed.task->kept != nullptr) worker.kept.push_back(std::move(handed.task->kept));
        running.emplace_back(worker.pid, std::move(handed.task));
      }
      worker.tasks.clear();
      os::signal_process(worker.process, SIGKILL);
    }
    queued = ready_.take_all();
    waiting = waiting_.take_all();
    made_room();
  }
  if (culprits_task != nullptr) fail_broken(std::move(culprits_task), text);
  for (auto& [pid, task] : running) {
    const std::string name = task->called("this task");
    fail_broken(std::move(task), text + "; " + name + " was in worker process " +
                                     std::to_string(pid) + ", which is ended too");
  }
  for (PoolTaskPtr& task : queued) {
    const std::string name = task->called("this task");
    fail_broken(std::move(task), text + "; " + name + " was still queued");
  }
  for (const WaitingCallPtr& call : waiting) {
    call->fail(std::make_exception_ptr(
        BrokenProcessPool(text + "; this task was waiting for its arguments")));
  }
  alarm_.call();  // this may be another thread than the manager's
}

CONCURRENT_INLINE void Engine::fail_broken(PoolTaskPtr task, const std::string& text) noexcept {
  task->fail(std::make_exception_ptr(BrokenProcessPool(text)));
  task.reset();
  tasks_done(1);
}

/// Waits until every worker has ended: idle ones do when their channel closes, and those of a
/// broken pool have been killed.
CONCURRENT_INLINE void Engine::end_workers() {
  ending_ = true;
  for (auto& [key, worker] : workers_) {
    if (worker.channel.descriptor() < 0) continue;
    poller_.remove(worker.channel.descriptor());
    if (!worker.ready && begins_harmlessly()) os::signal_process(worker.process, SIGKILL);
    worker.channel.close();
  }
  if (!server_is_up_) server_alive_ = false;  // when it comes, it finds that nobody needs it
  dismiss_server();                           // it buries all workers before its own end
  Deadline reminder(Clock::now() + patience_at_the_end);
  while (server_alive_ && (!workers_.empty() || requested_ != 0)) {
    const Deadline next = next_deadline();
    handle_all(poller_.wait(next.at() < reminder.at() ? next : reminder));
    check_deadlines();
    if (!reminder.passed()) continue;
    // Somebody may have stopped one, which then does not see that it is to end.
    for (auto& [key, worker] : workers_) os::signal_process(worker.process, SIGCONT);
    reminder = Deadline(Clock::now() + patience_at_the_end);
  }
  for (auto& [key, worker] : workers_) {  // without their server
    // One that ended before the server left was buried by it, and nothing of it is to be killed.
    if (dismissed_ && os::wait_readable(worker.process.number(), {})) continue;
    ::kill(-worker.pid, SIGKILL);
    os::signal_process(worker.process, SIGKILL);
    os::wait_readable(worker.process.number());
  }
  const std::scoped_lock lock(mutex_);
  workers_.clear();
}

CONCURRENT_INLINE void Engine::dismiss_server() noexcept {
  dismissed_ = tell_server({ServerRequest::Kind::leave, 0, 0}) || dismissed_;
}

CONCURRENT_INLINE void Engine::end_server() noexcept {
  if (!dismissed_) dismiss_server();
  ::shutdown(control_.number(), SHUT_RDWR);  // seen even if a child of this program inherited it
  control_.reset();
  if (server_ && !os::wait_readable(server_.number(), std::chrono::seconds(2))) {
    os::signal_process(server_, SIGKILL);  // stopped, it would never end
  }
  os::wait_and_reap(server_pid_, server_);
}

}  // namespace concurrent::futures::detail::process
