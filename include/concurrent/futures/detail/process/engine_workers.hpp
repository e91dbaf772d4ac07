// SPDX-License-Identifier: MIT
#pragma once

// The engine's workers: how they come and go, and what they send through their sockets.

#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/process/engine.hpp>

namespace concurrent::futures::detail::process {

// Workers coming and going

/// Under the mutex. `wanted` tasks have no worker.
CONCURRENT_INLINE void Engine::request_workers(std::size_t wanted) {
  const std::size_t coming = starting_ + requested_;
  const std::size_t all = workers_.size() + requested_;
  if (!may_start_ || wanted <= coming || all >= options_.max_workers) return;
  for (std::size_t count = (std::min)(wanted - coming, options_.max_workers - all); count != 0;
       --count) {
    if (!tell_server({ServerRequest::Kind::start_worker, 0, 0})) {
      plan_changed_ = true;
      next_due_ = Deadline((std::min)(next_due_.at(), Clock::now() + pause_before_asking_again));
      return;
    }
    ++requested_;
  }
}

/// False when the server cannot take it now; its death is noticed elsewhere.
CONCURRENT_INLINE bool Engine::tell_server(const ServerRequest& request) noexcept {
  return os::send_with_descriptors(control_.number(), &request, sizeof request, nullptr, 0);
}

CONCURRENT_INLINE void Engine::receive_replies() {
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
        if (all_have_come(reply, received)) {
          worker_started(reply.pid, std::move(received.descriptors));
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
      case ServerReply::Kind::is_up:
        server_is_up_ = true;
        break;
      case ServerReply::Kind::is_down:
        break_pool("its fork server, which is the program started anew, could not begin: " +
                   std::generic_category().message(reply.code));
        break;
    }
  }
}

/// Those for which this process has no room do not come.
CONCURRENT_INLINE bool Engine::all_have_come(const ServerReply& reply,
                                             const os::Received& received) noexcept {
  const auto count = static_cast<std::size_t>(reply.code);
  return count >= least_descriptors_of_started && count <= received.descriptors.size() &&
         received.descriptors[count - 1];
}

CONCURRENT_INLINE void Engine::worker_started(
    pid_t pid, std::array<os::Descriptor, os::max_passed_descriptors> received) {
  auto& [socket, process, memory, bell, bell_keeper] = received;
  if (ending_ && begins_harmlessly()) return os::signal_process(process, SIGKILL);
  os::SharedMapping mapping;
  try {
    mapping = os::SharedMapping(memory, sizeof(SharedBlock));
  } catch (const std::system_error& error) {
    os::signal_process(process, SIGKILL);
    return start_failed(error.code().value());
  }
  PoolChannel channel(std::move(socket), {std::move(bell), std::move(bell_keeper)},
                      std::move(mapping));
  if (ending_) return channel.close();  // it ends when it sees that
  const Key key = std::exchange(next_key_, next_key_ + 2);
  WorkerRecord* worker = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    idle_.reserve(workers_.size() + 1);
    worker = &workers_[key];
    worker->pid = pid;
    worker->process = std::move(process);
    worker->key = key;
    worker->channel = std::move(channel);
    if (arena_ != nullptr) worker->results = AreaLease(*arena_, results_at_a_time);
    if (worker->results) worker->channel.grant(arena_->message_of(worker->results.bytes()));
    if (stopped_by_ != nullptr) os::signal_process(worker->process, stop_signal_);
  }
  ++starting_;
  poller_.add(worker->channel.descriptor(), key);
  poller_.add(worker->process.number(), key | 1U);
}

CONCURRENT_INLINE void Engine::start_failed(int error) {
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
CONCURRENT_INLINE void Engine::worker_ended(pid_t pid, std::optional<int> status) {
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
    take_back_all(found->second);  // what it had not begun is another's
    for (const auto& handed : found->second.tasks) {
      handed.task->begin();
      handed.task->worker = 0;  // it can be cancelled until it has its outcome, or another worker
    }
    worker = std::move(found->second);
    workers_.erase(found);
  }
  bury(std::move(worker), status);
}

CONCURRENT_INLINE void Engine::bury(WorkerRecord worker, std::optional<int> status) {
  const std::string who = "worker process " + std::to_string(worker.pid);
  std::string how = status ? os::describe_wait_status(*status)
                           : "has ended, and the fork server does not say how";
  // One that was just ending by itself is not what the pool took it for.
  const bool by_itself = status && WIFEXITED(*status);
  if (!worker.complaint.empty() && !by_itself) how = worker.complaint;
  if (by_itself) {
    if (const char* why = explain_exit_status(WEXITSTATUS(*status))) how += std::string(": ") + why;
  }
  PoolTaskPtr running;
  for (auto& handed : worker.tasks) {
    if (running == nullptr) {
      running = std::move(handed.task);
    } else {
      fail_broken(std::move(handed.task), who + " " + how);  // it has lied about what it has begun
    }
  }
  const std::string task = running ? " while it ran " + running->called("a task") : "";
  if (worker.doom == WorkerRecord::Doom::cancelled) {
    if (running == nullptr) return;
    running.reset();
    return tasks_done(1);
  }
  if (worker.doom == WorkerRecord::Doom::timeout) {
    if (running == nullptr) return;
    running->fail(std::make_exception_ptr(TimeoutError(running->called("the task") +
                                                       " ran for longer than its timeout, and " +
                                                       who + " was killed for that")));
    running.reset();
    return tasks_done(1);
  }
  const char* stopped_by = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    stopped_by = stopped_by_;
  }
  if (stopped_by != nullptr) {
    if (running == nullptr) return;
    return fail_broken(std::move(running), who + " " + how + task + ", by " + stopped_by);
  }
  if (ending_ || (worker.state == State::retiring && running == nullptr)) return;
  if (options_.on_worker_death == OnWorkerDeath::restart && !breaking_) {
    return survive(std::move(running), worker, who + " " + how + task, status);
  }
  break_pool(who + " " + how + task, std::move(running));
}

/// Only the task that was running has a worker's death as its outcome, or another attempt.
CONCURRENT_INLINE void Engine::survive(PoolTaskPtr running, const WorkerRecord& worker,
                                       const std::string& how, std::optional<int> status) {
  const bool killed = status && WIFSIGNALED(*status);
  const bool exited = status && WIFEXITED(*status);
  if (running == nullptr) {
    const bool from_outside = killed && WTERMSIG(*status) == SIGKILL;
    const std::size_t most = from_outside ? most_early_kills : most_early_deaths;
    if (worker.ready || ++early_deaths_ < most) return;
    return break_pool(how + ", as the " + std::to_string(early_deaths_ - 1) +
                      " before it did, before it was ready for a task");
  }
  std::string times;
  if (++running->deaths > 1) {
    times = "; it was attempt " + std::to_string(running->deaths);
  }
  running->sent.reset();
  if (running->deaths <= running->options().max_retries) {
    const std::scoped_lock lock(mutex_);
    running->worker = 0;
    try {
      if (stopped_by_ == nullptr) return ready_.put_back(running);
    } catch (const std::bad_alloc&) {  // no memory to queue it
    }
  }
  running->fail(std::make_exception_ptr(
      WorkerDied(how + times, worker.pid, killed ? WTERMSIG(*status) : 0,
                 exited ? WEXITSTATUS(*status) : 0, running->options().name)));
  running.reset();
  tasks_done(1);
}

CONCURRENT_INLINE void Engine::server_ended() {
  if (!std::exchange(server_alive_, false)) return;
  poller_.remove(control_.number());
  poller_.remove(server_.number());
  if (dismissed_) return receive_replies();
  if (!server_is_up_) {
    receive_replies();  // it may have said why
    os::wait_readable(server_.number(), std::chrono::milliseconds(500));
  }
  int status = 0;
  const bool known = ::waitpid(server_pid_, &status, WNOHANG) == server_pid_;
  const std::string how = "process " + std::to_string(server_pid_) + ", " +
                          (known ? os::describe_wait_status(status) : "has ended");
  if (server_is_up_) return break_pool("its fork server, " + how);
  break_pool("its fork server, which is the program started anew, " + how +
             ", before main called freeze_support, which it must do first");
}

// Channels

CONCURRENT_INLINE void Engine::pump(Key key, WorkerRecord& worker, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) worker.channel.pump_out();
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0) {
    const auto status =
        worker.channel.pump_in([&](const Frame& frame) { receive(key, worker, frame); });
    if (status == PoolChannel::Status::closed) return lose(key, worker);
    if (status == PoolChannel::Status::corrupt) {
      worker.corrupt = true;
      return break_pool("worker process " + std::to_string(worker.pid) +
                        " sent something that is no message of the pool (a corrupt frame)");
    }
  }
  watch(key, worker);
}

CONCURRENT_INLINE void Engine::receive(Key key, WorkerRecord& worker, const Frame& frame) {
  bool answers = false;
  std::string task;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& each : worker.tasks) {
      if (each.ticket != frame.task) continue;
      answers = true;
      if (frame.kind == FrameKind::unreadable) task = each.task->called("a task");
    }
  }
  switch (frame.kind) {
    case FrameKind::ready:
      if (worker.state != State::starting) break;
      --starting_;
      worker.ready = true;
      had_worker_.store(true, std::memory_order_relaxed);  // as in drive_for()
      early_deaths_ = 0;
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
      return break_pool("the arguments of " + task + " could not be read back in worker process " +
                        std::to_string(worker.pid) + ": " +
                        std::string(text, frame.payload.size()));
    }
    case FrameKind::wake:
      return;  // the results are fetched afterwards
    case FrameKind::task:
    case FrameKind::revocable_task:
    case FrameKind::large_task:
    case FrameKind::area_task:
    case FrameKind::result_area:
    case FrameKind::leave:
    case FrameKind::area_value:
      break;
  }
  if (worker.state == State::lost) return;
  worker.corrupt = true;
  break_pool("worker process " + std::to_string(worker.pid) +
             " sent a message out of turn (a corrupt frame)");
}

CONCURRENT_INLINE void Engine::drain(Key key, WorkerRecord& worker) {
  if (!worker.channel) return;
  fetch_results(key, worker, Driver::manager);
  worker.channel.pump_in([&](const Frame& frame) { receive(key, worker, frame); }, true);
}

/// Its channel is closed, or it has ended: the fork server will say more.
CONCURRENT_INLINE void Engine::lose(Key key, WorkerRecord& worker) {
  not_idle(key);
  worker.deadline = {};
  if (worker.channel) poller_.remove(worker.channel.descriptor());
  if (worker.state == State::starting) --starting_;
  if (worker.state != State::retiring) worker.state = State::lost;
  // What it had finished counts; having done its share is no loss.
  if (worker.channel) fetch_results(key, worker, Driver::manager);
  if (!worker.patience.never()) return;
  worker.patience = Deadline(Deadline::Clock::now() + std::chrono::milliseconds(500));
  timed_ = true;
}

/// Waits for room to write as long as something is to be written.
CONCURRENT_INLINE void Engine::watch(Key key, WorkerRecord& worker) noexcept {
  if (worker.waits_for_write == worker.channel.has_unsent()) return;
  worker.waits_for_write = !worker.waits_for_write;
  poller_.change(worker.channel.descriptor(), key,
                 worker.waits_for_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

CONCURRENT_INLINE void Engine::not_idle(Key key) noexcept {
  idle_.erase(std::remove(idle_.begin(), idle_.end(), key), idle_.end());
}

}  // namespace concurrent::futures::detail::process
