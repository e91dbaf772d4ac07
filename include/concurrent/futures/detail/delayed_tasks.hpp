// SPDX-License-Identifier: MIT
#pragma once

// Tasks in an order of their own: those with a priority other than 0, and those that start later.

#include <atomic>
#include <chrono>
#include <concurrent/futures/detail/state.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

namespace concurrent::futures::detail {

/// Tasks by a key, equal keys in the order they were added. Each entry owns a reference.
///
/// **Thread safety** all members.
template <class Key, class Before>
class OrderedTasks {
 public:
  void add(Key key, StateBase* task) {
    const std::scoped_lock lock(mutex_);
    heap_.push({key, next_++, task});
    count_.store(heap_.size(), std::memory_order_seq_cst);
  }
  /// The first task, if `wanted(its key)`; else null.
  template <class Wanted>
  StateBase* pop_if(Wanted wanted) noexcept {
    if (empty()) return nullptr;
    const std::scoped_lock lock(mutex_);
    if (heap_.empty() || !wanted(heap_.top().key)) return nullptr;
    StateBase* const task = heap_.top().task;
    heap_.pop();
    count_.store(heap_.size(), std::memory_order_relaxed);
    return task;
  }
  /// The first key, or `otherwise`.
  [[nodiscard]] Key first(Key otherwise) const noexcept {
    if (empty()) return otherwise;
    const std::scoped_lock lock(mutex_);
    return heap_.empty() ? otherwise : heap_.top().key;
  }
  /// seq_cst: a worker's last look before it sleeps, against add().
  [[nodiscard]] bool empty() const noexcept { return count_.load(std::memory_order_seq_cst) == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }
  /// Drops entries whose task is done (cancelled) already.
  void purge() {
    std::vector<Entry> kept;
    std::vector<StateBase*> dropped;
    {
      const std::scoped_lock lock(mutex_);
      for (; !heap_.empty(); heap_.pop()) {
        if (heap_.top().task->done()) {
          dropped.push_back(heap_.top().task);
        } else {
          kept.push_back(heap_.top());
        }
      }
      for (const Entry& entry : kept) heap_.push(entry);
      count_.store(heap_.size(), std::memory_order_relaxed);
    }
    for (StateBase* task : dropped) task->release();
  }

 private:
  struct Entry {
    Key key;
    std::uint64_t number;
    StateBase* task;
  };
  struct Later {
    bool operator()(const Entry& left, const Entry& right) const {
      if (Before{}(right.key, left.key)) return true;
      return !Before{}(left.key, right.key) && right.number < left.number;
    }
  };

  mutable std::mutex mutex_;
  std::uint64_t next_ = 0;
  std::priority_queue<Entry, std::vector<Entry>, Later> heap_;
  std::atomic<std::size_t> count_{0};
};

struct Higher {
  constexpr bool operator()(int left, int right) const { return left > right; }
};
struct Earlier {
  constexpr bool operator()(Deadline::Clock::time_point left,
                            Deadline::Clock::time_point right) const {
    return left < right;
  }
};

using PriorityTasks = OrderedTasks<int, Higher>;
using DelayedTasks = OrderedTasks<Deadline::Clock::time_point, Earlier>;

}  // namespace concurrent::futures::detail
