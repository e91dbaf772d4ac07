// SPDX-License-Identifier: MIT
#pragma once

// The bodies of engine.hpp, in the order of a pool's life.

#include <concurrent/futures/detail/process/engine.hpp>

namespace concurrent::futures::detail::process {

// Made and used by any thread

inline Engine::Engine(EngineOptions options) : options_(std::move(options)) {
  poller_.add(alarm_.descriptor(), alarm_key);
  os::SocketPair control = os::socket_pair(SOCK_SEQPACKET);
  os::Descriptor parent = os::open_process(owner_);
  server_pid_ = os::fork_process("cannot fork the process pool's fork server", [&] {
    begin_fork_server(std::move(control.second), std::move(parent), options_.worker);
  });
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

inline Engine::~Engine() {
  if (in_other_process()) return;
  if (thread_.joinable()) thread_.detach();  // it is this thread, which destroys the engine last
  if (control_) end_server();                // the manager thread was never started
}

inline void Engine::start() {
  const os::AllSignalsBlocked blocked;  // the new thread inherits it: handlers are for others
  thread_ = std::thread([self = shared_from_this()] { self->run(); });
}

inline void Engine::check_open() const {
  if (broken_) throw BrokenProcessPool(*broken_);
  if (shutdown_) throw ShutdownError();
}

inline void Engine::push(PoolTaskPtr& task) {
  task->id = next_task_;
  finish_frame(task->request, FrameKind::task, task->id);
  ready_.push(task);
  ++next_task_;
  ++unfinished_;
}

inline void Engine::check_open_now() const {
  if (in_other_process()) {
    throw std::logic_error("this process pool was made by process " + std::to_string(owner_) +
                           " and cannot be used in process " + std::to_string(::getpid()) +
                           ", which was forked from it");
  }
  const std::scoped_lock lock(mutex_);
  check_open();
}

inline void Engine::submit(PoolTaskPtr task) {
  {
    const std::scoped_lock lock(mutex_);
    check_open();
    push(task);
  }
  alarm_.call();
}

inline void Engine::submit_accepted(PoolTaskPtr task) noexcept {
  try {
    const std::scoped_lock lock(mutex_);
    if (!broken_ && !stopped_by_) push(task);
  } catch (...) {
    task->fail(std::current_exception());
    return;
  }
  alarm_.call();
  if (task == nullptr) return;
  task->fail(std::make_exception_ptr(
      BrokenProcessPool("the process pool ended while this task waited for its arguments")));
}

inline void Engine::enter_waiting(WaitingCallPtr call) {
  const std::scoped_lock lock(mutex_);
  check_open();
  waiting_.enter(std::move(call));
}

inline void Engine::leave_waiting(const WaitingCall& call) noexcept {
  WaitingCallPtr left;
  {
    const std::scoped_lock lock(mutex_);
    left = waiting_.leave(call);
    changed_.notify_all();
  }
  alarm_.call();
}

/// The manager need not wait for the time of a task that is cancelled.
inline void Engine::note_cancelled() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    delayed_cancelled_ = true;
  }
  alarm_.call();
}

inline void Engine::cancel_pending() {
  std::vector<PoolTaskPtr> tasks;
  std::vector<WaitingCallPtr> calls;
  {
    const std::scoped_lock lock(mutex_);
    tasks = ready_.take_all();
    calls = waiting_.take_all();
  }
  for (PoolTaskPtr& task : tasks) {
    task->cancel();
    task.reset();
    task_done();
  }
  for (const WaitingCallPtr& call : calls) call->cancel();
  alarm_.call();
}

inline void Engine::shutdown(bool wait, bool cancel_futures) {
  if (in_other_process()) return;
  {
    const std::scoped_lock lock(mutex_);
    shutdown_ = true;
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
  changed_.wait(lock, [this] { return finished_; });
  if (std::exchange(joined_, true)) return;
  lock.unlock();
  thread_.join();
}

inline void Engine::abandon() noexcept {
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

inline void Engine::stop_workers(int signal, const char* by) {
  if (in_other_process()) return;
  {
    const std::scoped_lock lock(mutex_);
    shutdown_ = true;
    stopped_by_ = by;
    stop_signal_ = signal;
    for (const auto& [key, worker] : workers_) os::signal_process(worker.process, signal);
  }
  cancel_pending();
}

inline bool Engine::wait_idle(Deadline deadline) {
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

// The manager thread

inline void Engine::run() noexcept {
  manager_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);  // read by itself only
  os::set_thread_name("process_pool");
  while (!finished()) {
    try {
      manage();
    } catch (const std::exception& error) {
      break_pool(std::string("the pool's manager thread failed: ") + error.what());
    }
  }
  try {
    end_workers();
  } catch (...) {  // out of memory; ending the server ends what is left
  }
  end_server();
  // relaxed: for a thread that gets this one's id, and so begins after it has ended
  manager_id_.store({}, std::memory_order_relaxed);
  const std::scoped_lock lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

inline void Engine::manage() {
  for (;;) {
    dispatch();
    if (finished()) return;  // looked at last: what was left may have been cancelled
    for (const epoll_event& event : poller_.wait(next_deadline())) {
      handle(event.data.u64, event.events);
    }
    check_deadlines();
  }
}

inline bool Engine::finished() const {
  const std::scoped_lock lock(mutex_);
  return broken_ || (shutdown_ && unfinished_ == 0 && waiting_.empty());
}

inline void Engine::handle(Key key, std::uint32_t events) {
  if (key == alarm_key) return alarm_.answer();
  if (key == control_key) return receive_replies();
  if (key == server_key) return server_ended();
  const Key channel_key = key & ~Key{1};
  const auto found = workers_.find(channel_key);
  if (found == workers_.end()) return;  // it went while this event was on its way
  if (key == channel_key && ending_) return;
  WorkerRecord& worker = found->second;
  if (key == channel_key) return pump(key, worker, events);
  // Its pidfd: it has ended. The fork server says how, unless something is wrong with that one.
  poller_.remove(worker.process.number());
  lose(channel_key, worker);
}

inline Deadline Engine::next_deadline() const noexcept {
  Deadline next = next_due_;
  if (!timed_) return next;
  for (const auto& [key, worker] : workers_) {
    for (const Deadline& other : {worker.deadline, worker.patience}) {
      if (other.at() < next.at()) next = other;
    }
  }
  return next;
}

inline void Engine::check_deadlines() {
  if (!timed_) return;
  std::vector<pid_t> given_up;
  bool timed = false;
  for (auto& [key, worker] : workers_) {
    if (worker.state == State::busy && worker.deadline.passed()) {
      worker.timed_out = true;
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

// Tasks

/// Gives ready tasks to idle workers, and asks for more workers when tasks are left.
inline void Engine::dispatch() {
  for (;;) {
    PoolTaskPtr task;
    {
      const std::scoped_lock lock(mutex_);
      if (delayed_cancelled_) task = ready_.pop_settled();
      delayed_cancelled_ = task != nullptr;  // there may be more
      next_due_ = ready_.promote_due();
      if (task == nullptr) {
        if (ready_.ready_count() == 0 || breaking_) return;
        if (idle_.empty() && !ready_.front().settled()) {
          if (stopped_by_ == nullptr) request_workers(ready_.ready_count());
          return;
        }
        task = ready_.pop();
      }
    }
    if (!task->settled() && task->start()) {
      hand_over(std::move(task));
    } else {
      task.reset();
      task_done();
    }
  }
}

inline void Engine::hand_over(PoolTaskPtr task) {
  const Key key = idle_.back();
  idle_.pop_back();
  WorkerRecord& worker = workers_.at(key);
  worker.state = State::busy;
  ++worker.tasks;
  worker.deadline = task->options.timeout.deadline();
  timed_ = timed_ || !worker.deadline.never();
  worker.task = std::move(task);
  worker.channel.send(std::move(worker.task->request));
  watch(key, worker);
}

inline void Engine::finish_task(Key key, WorkerRecord& worker, const Frame& frame) {
  PoolTaskPtr task = std::move(worker.task);
  worker.deadline = {};
  may_start_ = true;
  if (worker.tasks == options_.worker.max_tasks) {
    worker.state = State::retiring;
  } else if (worker.state == State::busy && !worker.timed_out) {
    worker.state = State::idle;
    idle_.push_back(key);
  }
  dispatch();  // the worker goes on while the callbacks run
  complete(*task, worker, frame);
  task.reset();
  task_done();
}

inline void Engine::complete(PoolTask& task, const WorkerRecord& worker, const Frame& frame) {
  try {
    ByteReader reader(frame.payload);
    if (frame.kind == FrameKind::value) return task.succeed(reader);
    std::exception_ptr error = multiprocessing::detail::read_exception(reader);
    reader.expect_end();
    return task.fail(std::move(error));
  } catch (const std::exception& error) {
    break_by_result(task, worker, std::string(": ") + error.what());
  } catch (...) {
    break_by_result(task, worker, "");
  }
}

/// Who sees the future fail finds the pool broken already.
inline void Engine::break_by_result(PoolTask& task, const WorkerRecord& worker,
                                    const std::string& reason) {
  const std::string why = "the result of " + task.called("a task") + " from worker process " +
                          std::to_string(worker.pid) + " could not be read back" + reason;
  const std::string text = "the process pool is broken: " + why;
  {
    const std::scoped_lock lock(mutex_);
    if (!broken_) broken_ = text;
  }
  task.fail(std::make_exception_ptr(BrokenProcessPool(text)));
  break_pool(why);
}

inline void Engine::task_done() noexcept {
  const std::scoped_lock lock(mutex_);
  if (--unfinished_ == 0) changed_.notify_all();
}

// Workers coming and going

/// Under the mutex. `wanted` tasks have no worker.
inline void Engine::request_workers(std::size_t wanted) {
  const std::size_t coming = starting_ + requested_;
  const std::size_t all = workers_.size() + requested_;
  if (!may_start_ || wanted <= coming || all >= options_.max_workers) return;
  for (std::size_t count = (std::min)(wanted - coming, options_.max_workers - all); count != 0;
       --count) {
    if (!tell_server({ServerRequest::Kind::start_worker, 0, 0})) return;
    ++requested_;
  }
}

/// False when the server cannot take it now; its death is noticed elsewhere.
inline bool Engine::tell_server(const ServerRequest& request) {
  return os::send_with_descriptors(control_.number(), &request, sizeof request, nullptr, 0);
}

inline void Engine::receive_replies() {
  for (;;) {
    ServerReply reply;
    os::Received received = os::receive_with_descriptors(control_.number(), &reply, sizeof reply);
    if (received.size != sizeof reply) {
      if (received.size == 0) server_ended();
      return;
    }
    switch (reply.kind) {
      case ServerReply::Kind::started:
        --requested_;
        if (received.descriptors[1]) {
          worker_started(reply.pid, std::move(received.descriptors[0]),
                         std::move(received.descriptors[1]));
        } else {
          start_failed(EMFILE);  // this process could not take its descriptors
        }
        break;
      case ServerReply::Kind::failed:
        --requested_;
        start_failed(reply.code);
        break;
      case ServerReply::Kind::ended:
        worker_ended(reply.pid, reply.code);
        break;
    }
  }
}

inline void Engine::worker_started(pid_t pid, os::Descriptor channel, os::Descriptor process) {
  if (ending_) return PoolChannel(std::move(channel)).close();  // it ends when it sees that
  const Key key = std::exchange(next_key_, next_key_ + 2);
  WorkerRecord* worker = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    worker = &workers_[key];
    idle_.reserve(workers_.size());
    worker->pid = pid;
    worker->process = std::move(process);
    worker->channel = PoolChannel(std::move(channel));
    if (stopped_by_ != nullptr) os::signal_process(worker->process, stop_signal_);
  }
  ++starting_;
  poller_.add(worker->channel.descriptor(), key);
  poller_.add(worker->process.number(), key | 1U);
}

inline void Engine::start_failed(int error) {
  may_start_ = false;
  if (ending_ || requested_ != 0 || !workers_.empty()) return;  // those that there are go on
  bool needed = false;
  {
    const std::scoped_lock lock(mutex_);
    needed = ready_.ready_count() != 0;
  }
  if (needed) {
    break_pool("no worker process could be started: " + std::generic_category().message(error));
  }
  may_start_ = true;
}

/// Nothing for a status that nobody knows.
inline void Engine::worker_ended(pid_t pid, std::optional<int> status) {
  const auto found = std::find_if(workers_.begin(), workers_.end(),
                                  [pid](const auto& entry) { return entry.second.pid == pid; });
  if (found == workers_.end()) return;
  const Key key = found->first;
  lose(key, found->second);
  drain(key, found->second);  // what it had finished counts
  poller_.remove(found->second.process.number());
  may_start_ = true;
  WorkerRecord worker;
  {
    const std::scoped_lock lock(mutex_);
    worker = std::move(found->second);
    workers_.erase(found);
  }
  bury(std::move(worker), status);
}

inline void Engine::bury(WorkerRecord worker, std::optional<int> status) {
  const std::string who = "worker process " + std::to_string(worker.pid);
  std::string how = status ? os::describe_wait_status(*status)
                           : "has ended, and the fork server does not say how";
  // One that was just ending by itself is not what the pool took it for.
  const bool by_itself = status && WIFEXITED(*status);
  if (!worker.complaint.empty() && !by_itself) how = worker.complaint;
  if (by_itself) {
    if (const char* why = explain_exit_status(WEXITSTATUS(*status))) how += std::string(": ") + why;
  }
  const std::string task = worker.task ? " while it ran " + worker.task->called("a task") : "";
  if (worker.timed_out) {
    if (worker.task == nullptr) return;
    worker.task->fail(std::make_exception_ptr(
        TimeoutError(worker.task->called("the task") + " ran for longer than its timeout, and " +
                     who + " was killed for that")));
    worker.task.reset();
    return task_done();
  }
  const char* stopped_by = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    stopped_by = stopped_by_;
  }
  if (stopped_by != nullptr) {
    if (worker.task == nullptr) return;
    return fail_broken(std::move(worker.task), who + " " + how + task + ", by " + stopped_by);
  }
  if (ending_ || (worker.state == State::retiring && worker.task == nullptr)) return;
  break_pool(who + " " + how + task, std::move(worker.task));
}

inline void Engine::server_ended() {
  if (!std::exchange(server_alive_, false)) return;
  poller_.remove(control_.number());
  poller_.remove(server_.number());
  int status = 0;
  const bool known = ::waitpid(server_pid_, &status, WNOHANG) == server_pid_;
  break_pool("its fork server, process " + std::to_string(server_pid_) + ", " +
             (known ? os::describe_wait_status(status) : "has ended"));
}

// Channels

inline void Engine::pump(Key key, WorkerRecord& worker, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) worker.channel.pump_out();
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0) {
    const auto status =
        worker.channel.pump_in([&](const Frame& frame) { receive(key, worker, frame); });
    if (status == PoolChannel::Status::closed) return lose(key, worker);
    if (status == PoolChannel::Status::corrupt) {
      return break_pool("worker process " + std::to_string(worker.pid) +
                        " sent something that is no message of the pool (a corrupt frame)");
    }
  }
  watch(key, worker);
}

inline void Engine::receive(Key key, WorkerRecord& worker, const Frame& frame) {
  const bool answers = worker.task != nullptr && worker.task->id == frame.task;
  switch (frame.kind) {
    case FrameKind::ready:
      if (worker.state != State::starting) break;
      --starting_;
      worker.state = State::idle;
      idle_.push_back(key);
      return;
    case FrameKind::initializer_failed: {
      ByteReader reader(frame.payload);
      const auto error =
          multiprocessing::detail::traits_of(multiprocessing::detail::read_exception(reader));
      return break_pool("the initializer failed in worker process " + std::to_string(worker.pid) +
                        ": " + multiprocessing::detail::demangled(error.mangled) + ": " +
                        error.message);
    }
    case FrameKind::value:
    case FrameKind::error:
      if (!answers) break;
      return finish_task(key, worker, frame);
    case FrameKind::unreadable: {
      if (!answers) break;
      const auto* const text =
          static_cast<const char*>(static_cast<const void*>(frame.payload.data()));
      return break_pool("the arguments of " + worker.task->called("a task") +
                        " could not be read back in worker process " + std::to_string(worker.pid) +
                        ": " + std::string(text, frame.payload.size()));
    }
    case FrameKind::task:
      break;
  }
  if (worker.state == State::lost) return;
  break_pool("worker process " + std::to_string(worker.pid) +
             " sent a message out of turn (a corrupt frame)");
}

inline void Engine::drain(Key key, WorkerRecord& worker) {
  if (worker.channel.descriptor() < 0) return;
  worker.channel.pump_in([&](const Frame& frame) { receive(key, worker, frame); }, true);
}

/// Its channel is closed, or it has ended: the fork server will say more.
inline void Engine::lose(Key key, WorkerRecord& worker) {
  not_idle(key);
  if (worker.channel.descriptor() >= 0) poller_.remove(worker.channel.descriptor());
  if (worker.state == State::starting) --starting_;
  if (worker.state != State::retiring) worker.state = State::lost;
  if (!worker.patience.never()) return;
  worker.patience = Deadline(Deadline::Clock::now() + std::chrono::milliseconds(500));
  timed_ = true;
}

/// Waits for room to write as long as something is to be written.
inline void Engine::watch(Key key, WorkerRecord& worker) noexcept {
  if (worker.waits_for_write == worker.channel.has_unsent()) return;
  worker.waits_for_write = !worker.waits_for_write;
  poller_.change(worker.channel.descriptor(), key,
                 worker.waits_for_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

inline void Engine::not_idle(Key key) noexcept {
  idle_.erase(std::remove(idle_.begin(), idle_.end(), key), idle_.end());
}

// The end

/// Fails everything that is not finished, each future with an exception of its own.
inline void Engine::break_pool(const std::string& why, PoolTaskPtr culprits_task) noexcept {
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
  std::vector<PoolTaskPtr> queued;
  std::vector<WaitingCallPtr> waiting;
  {
    const std::scoped_lock lock(mutex_);
    broken_ = text;
    queued = ready_.take_all();
    waiting = waiting_.take_all();
    for (const auto& [key, worker] : workers_) os::signal_process(worker.process, SIGKILL);
  }
  if (culprits_task != nullptr) fail_broken(std::move(culprits_task), text);
  for (auto& [key, worker] : workers_) {
    if (worker.task == nullptr) continue;
    const std::string name = worker.task->called("this task");
    fail_broken(std::move(worker.task), text + "; " + name + " was in worker process " +
                                            std::to_string(worker.pid) + ", which is ended too");
  }
  for (PoolTaskPtr& task : queued) {
    const std::string name = task->called("this task");
    fail_broken(std::move(task), text + "; " + name + " was still queued");
  }
  for (const WaitingCallPtr& call : waiting) {
    call->fail(std::make_exception_ptr(
        BrokenProcessPool(text + "; this task was waiting for its arguments")));
  }
}

inline void Engine::fail_broken(PoolTaskPtr task, const std::string& text) noexcept {
  task->fail(std::make_exception_ptr(BrokenProcessPool(text)));
  task.reset();
  task_done();
}

/// Waits until every worker has ended: idle ones do when their channel closes, and those of a
/// broken pool have been killed.
inline void Engine::end_workers() {
  ending_ = true;
  for (auto& [key, worker] : workers_) {
    if (worker.channel.descriptor() < 0) continue;
    poller_.remove(worker.channel.descriptor());
    worker.channel.close();
  }
  while (server_alive_ && (!workers_.empty() || requested_ != 0)) {
    for (const epoll_event& event : poller_.wait(next_deadline())) {
      handle(event.data.u64, event.events);
    }
    check_deadlines();
  }
  for (auto& [key, worker] : workers_) {  // without their server
    ::kill(-worker.pid, SIGKILL);
    os::signal_process(worker.process, SIGKILL);
    os::wait_readable(worker.process.number());
  }
  const std::scoped_lock lock(mutex_);
  workers_.clear();
}

inline void Engine::end_server() noexcept {
  ::shutdown(control_.number(), SHUT_RDWR);  // seen even if a child of this program inherited it
  control_.reset();
  if (server_ && !os::wait_readable(server_.number(), std::chrono::seconds(2))) {
    os::signal_process(server_, SIGKILL);  // stopped, it would never end
  }
  os::wait_and_reap(server_pid_, server_);
}

}  // namespace concurrent::futures::detail::process
