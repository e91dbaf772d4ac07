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

  static bool is_delayed(const TaskOptions& options) noexcept {
    return options.delay > options.delay.zero() ||
           options.start_at != Deadline::Clock::time_point{};
  }

  /// @throws std::bad_alloc, and `task` is untouched then.
  void push(PoolTaskPtr& task) {
    const TaskOptions& options = task->options;
    if (!is_delayed(options)) return push_ready(task);
    const auto now = Deadline::Clock::now();
    const auto start = (std::max)(options.start_at, now + options.delay);
    if (start <= now) return push_ready(task);
    delayed_.emplace(start, nullptr)->second = std::move(task);
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
  const PoolTask& front() noexcept { return *highest().front(); }
  /// @pre ready_count() != 0
  PoolTaskPtr pop() noexcept {
    std::deque<PoolTaskPtr>& from = highest();
    PoolTaskPtr task = std::move(from.front());
    from.pop_front();
    --ready_count_;
    return task;
  }
  /// One that is not due and never will be: it was cancelled. Null: none.
  PoolTaskPtr pop_settled() noexcept {
    const auto found = std::find_if(delayed_.begin(), delayed_.end(),
                                    [](const auto& entry) { return entry.second->settled(); });
    if (found == delayed_.end()) return nullptr;
    PoolTaskPtr task = std::move(found->second);
    delayed_.erase(found);
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

  std::deque<PoolTaskPtr>& highest() noexcept {
    while (by_priority_.begin()->second.empty()) by_priority_.erase(by_priority_.begin());
    return by_priority_.begin()->second;
  }

  std::map<int, std::deque<PoolTaskPtr>, std::greater<>> by_priority_;
  std::multimap<Deadline::Clock::time_point, PoolTaskPtr> delayed_;
  std::size_t ready_count_ = 0;
};

}  // namespace concurrent::futures::detail::process
