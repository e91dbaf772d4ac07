// SPDX-License-Identifier: MIT
#pragma once

// The tasks that no worker has taken: by priority, then in the order they came; and those whose
// time has not come.

#include <algorithm>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace concurrent::futures::detail::process {

/// **Thread safety** none; guarded by the engine's mutex.
class ReadyQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return ready_count_ == 0 && delayed_.empty(); }
  [[nodiscard]] std::size_t ready_count() const noexcept { return ready_count_; }

  /// @throws std::bad_alloc, and `task` is untouched then.
  void push(PoolTaskPtr& task) {
    const TaskOptions& options = task->options;
    auto start = options.start_at;
    if (options.delay > options.delay.zero()) {
      start = (std::max)(start, Deadline::Clock::now() + options.delay);
    }
    if (start > Deadline::Clock::now()) {
      delayed_.emplace(start, nullptr)->second = std::move(task);
    } else {
      push_ready(task);
    }
  }

  /// Makes ready what is due, and says when to do so again.
  Deadline promote_due() {
    while (!delayed_.empty()) {
      const auto first = delayed_.begin();
      if (first->first > Deadline::Clock::now()) return Deadline(first->first);
      push_ready(first->second);
      delayed_.erase(first);
    }
    return {};
  }

  /// @pre ready_count() != 0
  PoolTaskPtr pop() noexcept {
    while (by_priority_.begin()->second.empty()) by_priority_.erase(by_priority_.begin());
    std::deque<PoolTaskPtr>& highest = by_priority_.begin()->second;
    PoolTaskPtr task = std::move(highest.front());
    highest.pop_front();
    --ready_count_;
    return task;
  }

  std::vector<PoolTaskPtr> take_all() {
    std::vector<PoolTaskPtr> all;
    all.reserve(ready_count_ + delayed_.size());
    while (ready_count_ != 0) all.push_back(pop());
    for (auto& [start, task] : delayed_) all.push_back(std::move(task));
    delayed_.clear();
    return all;
  }

 private:
  void push_ready(PoolTaskPtr& task) {
    by_priority_[task->options.priority].push_back(std::move(task));
    ++ready_count_;
  }

  std::map<int, std::deque<PoolTaskPtr>, std::greater<>> by_priority_;
  std::multimap<Deadline::Clock::time_point, PoolTaskPtr> delayed_;
  std::size_t ready_count_ = 0;
};

}  // namespace concurrent::futures::detail::process
