// SPDX-License-Identifier: MIT
#pragma once

// The engine's tasks: how they get to workers, and their results back.

#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/futures/detail/process/engine.hpp>

namespace concurrent::futures::detail::process {

/// With the mutex, which it gives up meanwhile: drops what was cancelled and would lie in the queue
/// for long.
CONCURRENT_INLINE void Engine::drop_settled(std::unique_lock<std::mutex>& lock) {
  std::vector<PoolTaskPtr> settled = ready_.take_settled();
  settled_ = false;
  made_room();
  publish_all();
  lock.unlock();
  for (PoolTaskPtr& task : settled) {
    task.reset();
    tasks_done(1);
  }
  lock.lock();
}

/// Under the mutex: brings an idle worker to the back that has room for the next task. False: all
/// have still to skip what was taken back from them.
CONCURRENT_INLINE bool Engine::choose_idle() {
  const auto chosen = std::find_if(idle_.rbegin(), idle_.rend(), [this](Key key) {
    return workers_.at(key).channel.has_room(ready_.front().request);
  });
  if (chosen == idle_.rend()) return false;
  std::swap(*chosen, idle_.back());
  return true;
}

/// Gives ready tasks to idle workers, asks for more workers when tasks are left, and puts tasks
/// behind those of workers that have shown to be fast. With the mutex, which it may give up.
CONCURRENT_INLINE void Engine::dispatch(std::unique_lock<std::mutex>& lock) {
  struct Publishing {  // in any case, once for all that is put behind others
    explicit Publishing(Engine& engine) noexcept : engine_(engine) {}
    Publishing(const Publishing&) = delete;
    Publishing& operator=(const Publishing&) = delete;
    ~Publishing() { engine_.publish_all(); }
    Engine& engine_;
  };
  const Publishing publishing(*this);
  submits_at_a_time_ = 1;
  while (lock) {
    if (settled_) drop_settled(lock);
    const Deadline due = ready_.promote_due();
    if (due.at() < next_due_.at()) plan_changed_ = true;
    next_due_ = due;
    if (breaking_) return;
    if (ready_.ready_count() == 0) {
      if (appended_ && all_have_stock()) submits_at_a_time_ = submits_between_fetches;
      return;
    }
    if (!idle_.empty()) take_back_older();
    const bool dropped = ready_.front().settled();
    if (!dropped && !choose_idle()) {
      if (stopped_by_ == nullptr) request_workers(ready_.ready_count());
      if (!idle_.empty()) {  // one will have room soon
        plan_changed_ = true;
        next_due_ = Deadline((std::min)(next_due_.at(), Clock::now() + patience_with_queue));
        return;
      }
      WorkerRecord* const worker = next_in_line();
      if (worker == nullptr || !put_behind(*worker)) return;
      continue;
    }
    PoolTaskPtr task = ready_.pop();
    made_room();
    if (!dropped && (task->deaths != 0 || task->start())) {
      try {
        hand_over(task, lock);
      } catch (...) {  // no memory, and nothing has been done
        if (lock) lock.unlock();
        task->fail(std::current_exception());
      }
      if (task == nullptr) continue;
    }
    publish_all();
    if (lock) lock.unlock();
    task.reset();  // which may run code of others
    tasks_done(1);
    lock.lock();
  }
}

/// With the mutex: gives the task, which is running from now on, to the idle worker at the back.
/// Leaves one that was cancelled. The mutex is free afterwards if there is no other task. Has done
/// nothing if it throws. @throws std::bad_alloc
CONCURRENT_INLINE void Engine::hand_over(PoolTaskPtr& task, std::unique_lock<std::mutex>& lock) {
  const Key key = idle_.back();
  WorkerRecord& worker = workers_.at(key);
  const TaskOptions& options = task->options();
  const bool small = PoolChannel::is_small(task->request);
  const bool copied = !small && task->deaths != options.max_retries;
  const Deadline deadline = options.timeout.deadline();
  const bool alone = !small || !deadline.never() || task->deaths != 0;
  if (copied) {  // a large one is sent away, or overwritten
    lock.unlock();
    task->sent = std::make_unique<ByteBuffer>();  // not the one of an earlier attempt
    task->sent->draw_from(arena());
    task->sent->append(task->request.data(), task->request.size());
    lock.lock();
  }
  // It may have been cancelled while it waited for another attempt, and now.
  if (!task->wanted()) return;
  WorkerRecord::Handed& handed = worker.tasks.emplace_back();
  try {
    worker.channel.send(copied ? *task->sent : task->request, worker.next_ticket, arena_.get());
  } catch (...) {
    worker.tasks.pop_back();
    throw;
  }
  handed.ticket = worker.next_ticket++;
  task->worker = worker.key;
  task->ticket = handed.ticket;
  handed.task = std::move(task);
  idle_.pop_back();
  worker.state = State::busy;
  ++worker.tasks_begun;
  // Nobody asks how fast it is as long as nothing waits, and a clock is dear beside a short task.
  worker.progress = ready_.ready_count() != 0 ? Clock::now() : WorkerRecord::unknown;
  worker.deadline = deadline;
  worker.alone = alone;
  if (!deadline.never()) timed_ = plan_changed_ = true;
  const bool last = ready_.ready_count() == 0;
  lock.unlock();
  if (!small) worker.channel.pump_out();
  woke_worker_ = worker.channel.wake_worker() || woke_worker_;
  watch(key, worker);
  if (!last) lock.lock();
}

/// Under the mutex: the worker behind whose tasks the next one may wait; null: none.
CONCURRENT_INLINE WorkerRecord* Engine::next_in_line() noexcept {
  if (priorities_differ_) return nullptr;
  const PoolTask& task = ready_.front();
  if (!PoolChannel::is_small(task.request) || !task.options().timeout.deadline().never() ||
      task.deaths != 0) {
    return nullptr;
  }
  WorkerRecord* best = nullptr;
  for (auto& [key, worker] : workers_) {
    if (worker.state != State::busy || worker.alone || worker.doom != WorkerRecord::Doom::none ||
        worker.tasks.empty() || worker.tasks.size() >= worker.depth) {
      continue;
    }
    if (worker.tasks_begun == options_.worker.max_tasks) continue;
    if (worker.next_ticket - worker.tasks.front().ticket >= SharedBlock::slot_count) continue;
    if (best == nullptr || worker.tasks.size() < best->tasks.size()) best = &worker;
  }
  return best;
}

/// Under the mutex: puts the next task behind those of the worker; publish_all() should follow.
/// False: there was no room.
CONCURRENT_INLINE bool Engine::put_behind(WorkerRecord& worker) {
  PoolTask& task = ready_.front();
  if (!worker.channel.has_room(task.request) || !worker.channel.slot_is_free(worker.next_ticket)) {
    return false;
  }
  WorkerRecord::Handed& handed = worker.tasks.emplace_back();
  handed.task = ready_.pop();
  if (!task.offer()) {  // it was cancelled
    worker.tasks.pop_back();
    made_room();
    if (--unfinished_ == 0) changed_.notify_all();
    if (shutdown_) alarm_.call();
    return true;
  }
  handed.ticket = worker.next_ticket++;
  handed.revocable = true;
  task.worker = worker.key;
  task.ticket = handed.ticket;
  ++worker.tasks_begun;
  if (worker.tasks.size() == 2) plan_changed_ = true;
  if (worker.progress == WorkerRecord::unknown) worker.progress = Clock::now();
  worker.channel.append_revocable(task.request, handed.ticket);
  appended_ = true;
  return true;
}

/// What was put behind others becomes the workers'.
CONCURRENT_INLINE void Engine::publish_all() noexcept {
  if (!std::exchange(appended_, false)) return;
  for (auto& [key, worker] : workers_) {
    if (worker.channel && worker.channel.publish()) watch(key, worker);
  }
}

/// Under the mutex: whether no worker will miss the next tasks soon.
CONCURRENT_INLINE bool Engine::all_have_stock() const noexcept {
  return !workers_.empty() && std::all_of(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.state == State::busy && entry.second.tasks.size() >= enough_stock;
  });
}

/// Under the mutex: moves a task that its worker has not begun back into the queue; the caller
/// removes `handed`. False: the worker has begun it. @throws std::bad_alloc, and it stays then
CONCURRENT_INLINE bool Engine::take_back(WorkerRecord::Handed& handed, WorkerRecord& worker) {
  if (!handed.revocable) return false;
  PoolTask& task = *handed.task;
  ready_.put_back(handed.task);  // what may throw comes first
  if (!worker.channel.revoke(handed.ticket)) {
    handed.task = ready_.take_out(task);
    return false;
  }
  task.worker = 0;
  --worker.tasks_begun;
  task.take_back();
  return true;
}

/// The newest first, so that the older ones come before them in the queue.
CONCURRENT_INLINE void Engine::take_back_all(WorkerRecord& worker) {
  while (!worker.tasks.empty() && take_back(worker.tasks.back(), worker)) worker.tasks.pop_back();
}

/// Under the mutex, when a worker is idle: what waits in rings and is older than the next task
/// comes first. @pre ready_count() != 0
CONCURRENT_INLINE void Engine::take_back_older() {
  const std::uint64_t next = ready_.front().number;
  for (auto& [key, worker] : workers_) {
    const auto queued = std::find_if(worker.tasks.begin(), worker.tasks.end(),
                                     [](const auto& handed) { return handed.revocable; });
    if (queued == worker.tasks.end() || queued->task->number > next) continue;
    take_back_all(worker);
    if (worker.state == State::busy) settle(key, worker);
  }
}

// Results

CONCURRENT_INLINE std::size_t Engine::fetch_all(Driver driver) {
  std::size_t fetched = 0;
  const bool looks = napping_ || watchers_.load(std::memory_order_relaxed) != 0;  // as in drive()
  for (auto& [key, worker] : workers_) {
    if (!worker.channel || worker.state == State::idle) continue;
    if (looks) worker.channel.look();
    fetched += fetch_results(key, worker, driver);
    if (driver == Driver::passer_by || worker.state != State::busy) continue;
    const std::scoped_lock lock(mutex_);
    settle(key, worker);
  }
  return fetched;
}

/// Completes the tasks whose results are in the ring. A passer-by leaves those to the manager that
/// run code of others.
CONCURRENT_INLINE std::size_t Engine::fetch_results(Key key, WorkerRecord& worker, Driver driver) {
  struct Result {
    PoolTaskPtr task;
    FrameKind kind{};
    std::span<const std::byte> payload;
  };
  struct Fetching {  // once at a time: breaking the pool drains all its workers
    explicit Fetching(bool& flag) noexcept : flag_(flag) { flag_ = true; }
    Fetching(const Fetching&) = delete;
    Fetching& operator=(const Fetching&) = delete;
    ~Fetching() { flag_ = false; }
    bool& flag_;
  };
  if (driver == Driver::manager) worker.left = false;
  if (!worker.has_news()) return 0;
  const Fetching fetching(worker.fetching);
  RingReader& ring = worker.channel.results();
  std::size_t fetched = 0;
  for (;;) {
    std::array<Result, 32> results;
    std::size_t count = 0;
    bool more = true;
    bool corrupt = false;
    {
      std::unique_lock lock(mutex_);
      while (more && count < results.size()) {
        RingMessage message;
        const RingReader::Result got = ring.next(message);
        more = got == RingReader::Result::message;
        if (got == RingReader::Result::corrupt) corrupt = true;
        if (!more) break;
        auto kind = static_cast<FrameKind>(message.kind);
        std::span<const std::byte> payload = message.payload;
        const auto handed =
            std::find_if(worker.tasks.begin(), worker.tasks.end(),
                         [&](const auto& each) { return each.ticket == message.tag; });
        if (kind == FrameKind::area_value && handed != worker.tasks.end()) {
          payload = value_in_arena(payload, worker, *handed->task);
          if (!payload.empty()) kind = FrameKind::value;
        }
        corrupt =
            handed == worker.tasks.end() || (kind != FrameKind::value && kind != FrameKind::error);
        const bool leave = driver == Driver::passer_by &&
                           (corrupt || kind != FrameKind::value || handed->task->watched());
        if (corrupt || leave) {
          ring.unread();
          more = false;
          if (leave) {
            worker.left = true;
            alarm_.call();
          }
          break;
        }
        results[count++] = {std::move(handed->task), kind, payload};
        if (handed == worker.tasks.begin()) {
          worker.tasks.pop_front();
        } else {
          worker.tasks.erase(handed);
        }
      }
      if (count != 0) {
        note_progress(worker, count);
        settle(key, worker);
        made_room();
        may_start_ = true;
        dispatch_meanwhile(lock);
      }
    }
    if (count != 0) {
      for (std::size_t i = 0; i < count; ++i) {
        complete(*results[i].task, worker, results[i].kind, results[i].payload);
        results[i].task.reset();
      }
      ring.give_back();
      tasks_done(count);
      fetched += count;
    }
    if (corrupt && driver == Driver::manager && worker.state != State::lost) {
      worker.corrupt = true;
      break_pool("worker process " + std::to_string(worker.pid) +
                 " sent a message out of turn (a corrupt frame)");
    }
    if (!more) return fetched;
    if (role_.is_wanted()) return fetched;  // the manager goes on
  }
}

/// A worker that has nothing left is idle, or ends; one that has begun what it was offered shows
/// it.
CONCURRENT_INLINE void Engine::settle(Key key, WorkerRecord& worker) noexcept {
  if (!worker.tasks.empty()) {
    WorkerRecord::Handed& first = worker.tasks.front();
    if (!first.revocable || !worker.channel.taken(first.ticket)) return;
    first.revocable = false;
    first.task->begin();
    return;
  }
  worker.deadline = {};
  worker.alone = false;
  if (worker.tasks_begun == options_.worker.max_tasks) {
    worker.state = State::retiring;
  } else if (worker.state == State::busy && worker.doom == WorkerRecord::Doom::none) {
    worker.state = State::idle;
    idle_.push_back(key);
  }
}

/// Decides how many tasks the worker may have at a time from now on.
CONCURRENT_INLINE void Engine::note_progress(WorkerRecord& worker, std::size_t results) noexcept {
  if (ready_.ready_count() == 0 && worker.tasks.empty()) {
    worker.progress = WorkerRecord::unknown;
    return;
  }
  const auto now = Clock::now();
  const auto before = std::exchange(worker.progress, now);
  if (before == WorkerRecord::unknown) return;
  const auto each = (now - before) / static_cast<std::int64_t>(results);
  const auto fits = each.count() > 0 ? static_cast<std::size_t>(hold / each) : most_tasks_at_a_time;
  worker.depth =
      std::clamp<std::size_t>(fits, 1, (std::min)(2 * worker.depth, most_tasks_at_a_time));
}

/// Workers go on while the callbacks run.
CONCURRENT_INLINE void Engine::dispatch_meanwhile(std::unique_lock<std::mutex>& lock) noexcept {
  try {
    dispatch(lock);
  } catch (...) {  // no memory: the next round tries again
    role_.leave_word();
  }
}

/// A result that came through the socket.
CONCURRENT_INLINE void Engine::finish_task(Key key, WorkerRecord& worker, const Frame& frame) {
  PoolTaskPtr task;
  {
    std::unique_lock lock(mutex_);
    const auto handed = std::find_if(worker.tasks.begin(), worker.tasks.end(),
                                     [&](const auto& each) { return each.ticket == frame.task; });
    task = std::move(handed->task);
    worker.tasks.erase(handed);
    note_progress(worker, 1);
    settle(key, worker);
    may_start_ = true;
    ++fetched_;
    dispatch_meanwhile(lock);
  }
  complete(*task, worker, frame.kind, frame.payload);
  task.reset();
  tasks_done(1);
}

/// Empty if the worker must not write there: it has lied.
CONCURRENT_INLINE std::span<const std::byte> Engine::value_in_arena(
    std::span<const std::byte> payload, const WorkerRecord& worker,
    const PoolTask& task) const noexcept {
  AreaMessage area;
  if (arena_ == nullptr || payload.size() != sizeof area) return {};
  std::memcpy(&area, payload.data(), sizeof area);
  const std::span<const std::byte> value = arena_->bytes_of(area);
  const auto holds_value = [&](std::span<const std::byte> whole) {
    return value.data() >= whole.data() && value.size() <= whole.size() &&
           static_cast<std::size_t>(value.data() - whole.data()) <= whole.size() - value.size();
  };
  for (const ByteBuffer* const request :
       {&task.request, static_cast<const ByteBuffer*>(task.sent.get())}) {
    if (request != nullptr && request->lent() &&
        holds_value({request->data(), request->capacity()}))
      return value;
  }
  return holds_value(worker.results.bytes()) ? value : std::span<const std::byte>();
}

CONCURRENT_INLINE void Engine::complete(PoolTask& task, const WorkerRecord& worker, FrameKind kind,
                                        std::span<const std::byte> payload) {
  try {
    // The result may lie where the request was.
    const ByteBuffer request = std::move(task.request);
    const auto sent = std::move(task.sent);
    const auto kept = std::move(task.kept);
    ByteReader reader(payload);
    if (kind == FrameKind::value) return task.succeed(reader);
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
CONCURRENT_INLINE void Engine::break_by_result(PoolTask& task, const WorkerRecord& worker,
                                               const std::string& reason) {
  const std::string why = "the result of " + task.called("a task") + " from worker process " +
                          std::to_string(worker.pid) + " could not be read back" + reason;
  const std::string text = "the process pool is broken: " + why;
  {
    const std::scoped_lock lock(mutex_);
    if (!broken_) broken_ = text;
    closed_.store(true, std::memory_order_release);
  }
  task.fail(std::make_exception_ptr(BrokenProcessPool(text)));
  break_pool(why);
}

CONCURRENT_INLINE void Engine::tasks_done(std::size_t count) noexcept {
  const std::scoped_lock lock(mutex_);
  made_room();
  unfinished_ -= count;
  if (unfinished_ != 0) return;
  changed_.notify_all();
  if (shutdown_) alarm_.call();
}

}  // namespace concurrent::futures::detail::process
