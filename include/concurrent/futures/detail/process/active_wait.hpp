// SPDX-License-Identifier: MIT
#pragma once

// How both ends of a channel wait before they sleep. Nothing in Python.

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <cstddef>

namespace concurrent::futures::detail::process {

/// Some turns of waiting without sleep: first on the core alone, now and then giving it away, since
/// the other end may need this very processor; then by the clock, because where others want the
/// processor a turn takes long, and a sleeper is woken sooner than it gets one.
class ActiveWait {
 public:
  using Clock = std::chrono::steady_clock;

  /// `bytes`: the other end may have so many to copy first.
  explicit ActiveWait(int turns, concurrent::detail::Deadline deadline = {},
                      std::size_t bytes = 0) noexcept
      : longest_(usual + (std::min)(time_to_copy(bytes), longest_copy)),
        turns_(static_cast<int>(turns * (longest_ / usual))),
        deadline_(deadline) {}

  /// False: it is time to sleep.
  bool turn() noexcept {
    if (turn_ == turns_) return false;
    if (++turn_ <= turns_before_clock) {
      turn_ % turns_alone == 0 ? static_cast<void>(::sched_yield())
                               : concurrent::detail::os::cpu_relax();
      return true;
    }
    const auto now = Clock::now();
    if (turn_ == turns_before_clock + 1) end_ = (std::min)(now + longest_, deadline_.at());
    if (now >= end_) return false;
    ::sched_yield();
    return true;
  }
  [[nodiscard]] int turns() const noexcept { return turn_; }

 private:
  static constexpr int turns_alone = 64;
  static constexpr int turns_before_clock = 100;
  static constexpr std::chrono::microseconds usual{50};
  /// Beyond it, being woken up matters little.
  static constexpr std::chrono::microseconds longest_copy{1000};

  /// Out and in again, at 4 GB/s.
  static constexpr std::chrono::microseconds time_to_copy(std::size_t bytes) noexcept {
    return std::chrono::microseconds(bytes / 2000);
  }

  const std::chrono::microseconds longest_;
  const int turns_;
  int turn_ = 0;
  concurrent::detail::Deadline deadline_;
  Clock::time_point end_;
};

}  // namespace concurrent::futures::detail::process
