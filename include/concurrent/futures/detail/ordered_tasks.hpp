// SPDX-License-Identifier: MIT
#pragma once

// The tasks of a pool that start by priority or by the clock.

#include <atomic>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/detail/thread_pool_core.hpp>
#include <concurrent/futures/task_options.hpp>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace concurrent::futures::detail {

/// A binary heap of tasks with a key; equal keys come out in the order they went in.
template <class Key>
class TaskHeap {
 public:
  struct Entry {
    Key key;  // smallest first
    std::uint64_t number;
    int priority;
    StateBase* task;

    [[nodiscard]] bool before(const Entry& other) const {
      if (key != other.key) return key < other.key;
      return number < other.number;
    }
  };

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const Entry& top() const { return entries_.front(); }

  void push(Entry entry) {
    std::size_t at = entries_.size();
    entries_.push_back(entry);
    while (at != 0 && entry.before(entries_[(at - 1) / 2])) {
      entries_[at] = entries_[(at - 1) / 2];
      at = (at - 1) / 2;
    }
    entries_[at] = entry;
  }
  Entry pop() {
    const Entry first = entries_.front();
    const Entry last = entries_.back();
    entries_.pop_back();
    if (!entries_.empty()) sink(last, 0);
    return first;
  }
  /// Takes out the tasks that nobody will run any more, unless memory is short.
  std::vector<StateBase*> take_settled() {
    std::vector<StateBase*> settled;
    settled.reserve(entries_.size());
    std::size_t kept = 0;
    for (const Entry& entry : entries_) {
      if (entry.task->phase() == Phase::pending) {
        entries_[kept++] = entry;
      } else {
        settled.push_back(entry.task);
      }
    }
    entries_.resize(kept);
    for (std::size_t at = kept / 2; at-- != 0;) sink(Entry(entries_[at]), at);
    return settled;
  }

 private:
  void sink(const Entry& entry, std::size_t at) {
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= entries_.size()) break;
      if (child + 1 < entries_.size() && entries_[child + 1].before(entries_[child])) ++child;
      if (!entries_[child].before(entry)) break;
      entries_[at] = entries_[child];
      at = child;
    }
    entries_[at] = entry;
  }

  std::vector<Entry> entries_;
};

/// A mutex is enough: whoever wants an order pays for it, and the counts let everyone else pass.
///
/// **Thread safety** all members. The counts are sequentially consistent, as the workers' last look
/// before they sleep goes by them.
///
/// A template, so that only programs that order their tasks compile it: of a class the compiler
/// would inline speculative calls into every worker.
template <class Queue>
class OrderedTasksByHeap final : public OrderedTasks {
 public:
  OrderedTasksByHeap(Queue& queue, const void* pool) : queue_(queue), pool_(pool) {}

  void add(StateBase& task, int priority) override {
    const std::scoped_lock lock(mutex_);
    ready_.push({-std::int64_t{priority}, next_number_++, priority, &task});
    count();
  }
  void add(StateBase& task, int priority, Clock::time_point start) override {
    const std::scoped_lock lock(mutex_);
    delayed_.push({start.time_since_epoch().count(), next_number_++, priority, &task});
    count();
  }
  StateBase* next_urgent() noexcept override {
    if (empty()) return nullptr;
    const std::scoped_lock lock(mutex_);
    move_due_locked();
    return !ready_.empty() && ready_.top().key < 0 ? pop(ready_) : nullptr;
  }
  StateBase* next() noexcept override {
    if (queued() == 0) return nullptr;
    const std::scoped_lock lock(mutex_);
    return pop(ready_);
  }
  void move_due() noexcept override {
    const std::scoped_lock lock(mutex_);
    move_due_locked();
  }
  StateBase* take() noexcept override {
    if (empty()) return nullptr;
    const std::scoped_lock lock(mutex_);
    StateBase* const task = pop(ready_);
    return task != nullptr ? task : pop(delayed_);
  }
  [[nodiscard]] bool ready() const noexcept override {
    return queued() != 0 || first_due() <= Clock::now();
  }
  [[nodiscard]] bool empty() const noexcept override {
    return first_due() == no_time && queued() == 0;  // in the order in which tasks move
  }
  [[nodiscard]] std::size_t queued() const noexcept override {
    return queued_.load(std::memory_order_seq_cst);
  }
  [[nodiscard]] Clock::time_point first_due() const noexcept override {
    return Clock::time_point(Clock::duration(first_due_.load(std::memory_order_seq_cst)));
  }
  void withdrawn() noexcept override {
    std::vector<StateBase*> settled;
    {
      const std::scoped_lock lock(mutex_);
      if (2 * ++withdrawn_ < delayed_.size()) return;
      try {
        settled = delayed_.take_settled();
      } catch (...) {  // std::bad_alloc: they go when they are due
        return;
      }
      withdrawn_ = 0;
      count();
    }
    for (StateBase* const task : settled) task->release();
  }

 private:
  using Heap = TaskHeap<std::int64_t>;

  void count() noexcept {
    queued_.store(ready_.size(), std::memory_order_seq_cst);
    const auto due = delayed_.empty() ? no_time.time_since_epoch().count() : delayed_.top().key;
    first_due_.store(due, std::memory_order_seq_cst);
  }
  StateBase* pop(Heap& heap) noexcept {
    if (heap.empty()) return nullptr;
    StateBase* const task = heap.pop().task;
    count();
    return task;
  }
  /// Those without a priority join the queue, as if submitted now.
  void move_due_locked() noexcept {
    if (delayed_.empty()) return;
    const auto now = Clock::now().time_since_epoch().count();
    while (!delayed_.empty() && delayed_.top().key <= now) {
      Heap::Entry entry = delayed_.top();
      entry.task->set_owner(pool_);
      try {
        if (entry.priority == 0) {
          queue_.push_accepted(entry.task);
        } else {
          entry.key = -std::int64_t{entry.priority};
          ready_.push(entry);
        }
      } catch (...) {  // std::bad_alloc: it stays due, and is tried again
        return;
      }
      delayed_.pop();
      count();
    }
  }

  Queue& queue_;
  const void* const pool_;
  mutable std::mutex mutex_;
  std::uint64_t next_number_ = 0;  // guarded, as are the heaps
  Heap ready_;
  Heap delayed_;
  std::size_t withdrawn_ = 0;  // guarded; at least as many of delayed_ as were withdrawn
  std::atomic<std::size_t> queued_{0};
  std::atomic<std::int64_t> first_due_{no_time.time_since_epoch().count()};
};

template <class TasksQueue>
OrderedTasks& ThreadPoolCore::ordered_tasks() {
  OrderedTasks* tasks = ordered();
  if (tasks != nullptr) return *tasks;
  auto* const mine = new OrderedTasksByHeap<TasksQueue>(queue_, this);
  // release: pairs with ordered(); a failure reads the winner's
  if (ordered_.compare_exchange_strong(tasks, mine, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
    return *mine;
  }
  delete mine;
  return *tasks;
}

/// @throws as submit. `start` in the past: now.
template <class TasksQueue>
void ThreadPoolCore::submit_ordered(StateBase& task, int priority, Clock::time_point start) {
  task.set_owner(this);
  if (start > Clock::now()) {
    const std::scoped_lock lock(accepting_);
    if (standing_.load(std::memory_order_relaxed) != Standing::open) refuse();
    OrderedTasks& tasks = ordered_tasks<TasksQueue>();
    task.set_owner(&tasks);  // nobody may run it yet, not even a worker that waits for it
    tasks.add(task, priority, start);
  } else if (priority == 0) {
    submit(task);
    return;
  } else if (settings_.push_where_room == nullptr || is_worker_thread()) {
    push_ordered<TasksQueue>(*this, task, TasksQueue::unbounded);
  } else if (!settings_.push_where_room(*this, task, &push_ordered<TasksQueue>)) {
    return;
  }
  ensure_worker(task);
}

/// A delayed task was cancelled, which may be all that the pool's end waits for.
template <class TasksQueue>
void ThreadPoolCore::task_withdrawn() noexcept {
  if (OrderedTasks* const tasks = ordered(); tasks != nullptr) tasks->withdrawn();
  if (standing_.load(std::memory_order_seq_cst) != Standing::open) sleepers_.wake_all();
  tell_idle_waiters();
}

/// False: `limit` tasks are queued already.
template <class TasksQueue>
bool ThreadPoolCore::push_ordered(ThreadPoolCore& pool, StateBase& task, std::size_t limit) {
  const std::scoped_lock lock(pool.accepting_);
  if (pool.standing_.load(std::memory_order_relaxed) != Standing::open) pool.refuse();
  OrderedTasks& tasks = pool.ordered_tasks<TasksQueue>();
  if (limit != TasksQueue::unbounded && pool.queue_.size() + tasks.queued() >= limit) return false;
  tasks.add(task, task.options()->priority);
  return true;
}

/// Queues a task whose futures are done.
template <class TasksQueue>
void ThreadPoolCore::enqueue(StateBase& task) noexcept {
  const TaskOptions* const options = task.options();
  try {
    if (options != nullptr && options->priority != 0) {
      ordered_tasks<TasksQueue>().add(task, options->priority);
    } else {
      queue_.push_accepted(&task);
    }
  } catch (...) {  // std::bad_alloc
    task.fail(std::current_exception());
    task.release();
    return;
  }
  if (live_.load(std::memory_order_seq_cst) == 0) {
    std::exception_ptr failure;
    if (!start_worker(&failure) && failure != nullptr) fail_queued(failure);
  }
  // Against break_pool: either it finds the task in the queue, or this sees that it came by.
  if (standing_.load(std::memory_order_seq_cst) == Standing::broken) {
    fail_queued(std::make_exception_ptr(BrokenThreadPool(why_broken_)));
  }
  notify();
  wake_waiting_workers();
}

/// Any of the tasks, with options. One that is delayed tells its pool when it will not run after
/// all, and keeps the pool's memory until it has run or told.
template <class Base>
class WithOptions final : public Base {
 public:
  template <class... Given>
  explicit WithOptions(TaskOptions options, Given&&... given)
      : Base(std::forward<Given>(given)...), options_(std::move(options)) {}
  [[nodiscard]] const TaskOptions* options() const noexcept override { return &options_; }

  /// Before the task is given to the pool.
  void will_be_delayed(ThreadPoolCore& pool) noexcept {
    pool.keep_alive();
    delayed_by_ = &pool;
  }
  Phase execute() noexcept override {
    const Phase outcome = Base::execute();
    if (delayed_by_ != nullptr) std::exchange(delayed_by_, nullptr)->release();
    return outcome;
  }
  void discard() noexcept override {
    Base::discard();
    if (delayed_by_ == nullptr) return;
    ThreadPoolCore& pool = *std::exchange(delayed_by_, nullptr);
    pool.task_withdrawn();
    pool.release();
  }

 private:
  TaskOptions options_;
  ThreadPoolCore* delayed_by_ = nullptr;  // whoever has claimed the task
};

}  // namespace concurrent::futures::detail
