// SPDX-License-Identifier: MIT
#pragma once

// How both ends of a channel wait before they sleep. Nothing in Python.

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <cstddef>
#include <cstdint>

namespace concurrent::futures::detail::process {

/// Some turns of waiting without sleep: first on the core alone, 60 ns each, now and then giving it
/// away, since the other end may need this very processor; then by the clock, because where others
/// want the processor a turn takes long, and a sleeper is woken sooner than it gets one.
class ActiveWait {
 public:
  using Clock = std::chrono::steady_clock;

  /// `bytes`: the other end may have so many to copy first.
  explicit ActiveWait(int turns, concurrent::detail::Deadline deadline = {},
                      std::size_t bytes = 0) noexcept
      : longest_(usual + (std::min)(time_to_copy(bytes), longest_copy)),
        turns_(deadline.passed() ? 0 : static_cast<int>(turns * (longest_ / usual))),
        deadline_(deadline) {}

  /// False: it is time to sleep.
  bool turn() noexcept {
    if (turn_ == turns_) return false;
    if (++turn_ <= turns_before_clock) {
      if (turn_ % turns_before_yield == 0) give_way();
      looked_ = concurrent::detail::os::cpu_relax_since(looked_);
      return true;
    }
    const auto now = Clock::now();
    if (turn_ == turns_before_clock + 1) end_ = (std::min)(now + longest_, deadline_.at());
    if (now >= end_) return false;
    give_way();
    return true;
  }
  [[nodiscard]] int turns() const noexcept { return turn_; }

  /// Lets others run.
  void give_way() noexcept {
    const std::uint64_t before = concurrent::detail::os::cpu_ticks();
    ::sched_yield();
    crowded_ = crowded_ || concurrent::detail::os::cpu_ticks() - before > long_absence;
  }
  /// Whether others kept the processor for long.
  [[nodiscard]] bool crowded() const noexcept { return crowded_; }

  /// The turns before it gives the processor away for the first time.
  static constexpr int turns_alone = 15;

 private:
  static constexpr int turns_before_yield = turns_alone + 1;
  static constexpr std::uint64_t long_absence =
      200 * concurrent::detail::os::ticks_in_a_microsecond;
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
  std::uint64_t looked_ = concurrent::detail::os::cpu_ticks();
  concurrent::detail::Deadline deadline_;
  Clock::time_point end_;
  bool crowded_ = false;
};

}  // namespace concurrent::futures::detail::process
