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
    const TaskOptions& options = task->options();
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
  PoolTask& front() noexcept { return *highest().front(); }
  /// @pre ready_count() != 0
  PoolTaskPtr pop() noexcept {
    std::deque<PoolTaskPtr>& from = highest();
    PoolTaskPtr task = std::move(from.front());
    from.pop_front();
    --ready_count_;
    return task;
  }
  /// Puts a task that was popped where it came from. @throws std::bad_alloc, and `task` is
  /// untouched then.
  void put_back(PoolTaskPtr& task) {
    std::deque<PoolTaskPtr>& same = by_priority_[task->options().priority];
    auto at = same.begin();
    while (at != same.end() && (*at)->number < task->number) ++at;
    *same.emplace(at) = std::move(task);
    ++ready_count_;
  }
  /// Takes out again what put_back() has just put there.
  PoolTaskPtr take_out(const PoolTask& task) noexcept {
    std::deque<PoolTaskPtr>& same = by_priority_.find(task.options().priority)->second;
    const auto found = std::find_if(same.begin(), same.end(),
                                    [&task](const auto& each) { return each.get() == &task; });
    PoolTaskPtr taken = std::move(*found);
    same.erase(found);
    --ready_count_;
    return taken;
  }
  /// Those that need not be run any more: they were cancelled. @throws std::bad_alloc, and takes
  /// nothing then.
  std::vector<PoolTaskPtr> take_settled() {
    std::vector<PoolTaskPtr> settled;
    settled.reserve(ready_count_ + delayed_.size());
    for (auto& [priority, same] : by_priority_) {
      auto end = same.begin();  // of those that stay
      for (PoolTaskPtr& task : same) {
        if (task->settled()) {
          settled.push_back(std::move(task));
        } else {
          std::swap(*end++, task);
        }
      }
      same.erase(end, same.end());
    }
    ready_count_ -= settled.size();
    for (auto at = delayed_.begin(); at != delayed_.end();) {
      if (at->second->settled()) {
        settled.push_back(std::move(at->second));
        at = delayed_.erase(at);
      } else {
        ++at;
      }
    }
    return settled;
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
    std::deque<PoolTaskPtr>& same = by_priority_[task->options().priority];
    task->number = next_number_;
    same.push_back(std::move(task));
    ++next_number_;
    ++ready_count_;
  }

  std::deque<PoolTaskPtr>& highest() noexcept {
    while (by_priority_.begin()->second.empty()) by_priority_.erase(by_priority_.begin());
    return by_priority_.begin()->second;
  }

  std::map<int, std::deque<PoolTaskPtr>, std::greater<>> by_priority_;
  std::multimap<Deadline::Clock::time_point, PoolTaskPtr> delayed_;
  std::size_t ready_count_ = 0;
  std::uint64_t next_number_ = 1;
};

}  // namespace concurrent::futures::detail::process
