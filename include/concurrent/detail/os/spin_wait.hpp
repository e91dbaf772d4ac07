// SPDX-License-Identifier: MIT
#pragma once

// How a thread waits for another one before it sleeps. Nothing in Python.

#include <concurrent/detail/os/cpu.hpp>
#include <cstdint>
#include <thread>
#include <utility>

namespace concurrent::detail::os {

/// A short wait by the clock. Use: look, then turn() until it is false, then sleep. It gives the
/// processor away now and then, as who is awaited may need this very one: soon for the first time,
/// if what is awaited was to be done at once.
class SpinWait {
 public:
  enum class FirstYield : std::uint64_t { at_once = 0, soon = 500, later = 2'000 };  // ns

  explicit SpinWait(FirstYield first) noexcept
      : begin_(cpu_ticks()),
        until_yield_(std::exchange(has_woken_, false) ? 0
                                                      : ticks(static_cast<std::uint64_t>(first))) {}

  /// To be called by a thread that has just woken another one: that one may be behind it on the
  /// same processor, so the thread's next wait gives it away at once.
  static void note_wake_up() noexcept { has_woken_ = true; }

  /// Waits until it is time to look again; false: it is time to sleep. Not inlined, as it takes its
  /// time anyway.
  [[gnu::noinline]] bool turn() noexcept {
    now_ = cpu_relax_since(now_);
    // Differences, so that a clock that is set back ends the wait.
    if (now_ - begin_ >= ticks(longest)) return false;
    if (now_ - yielded_ >= until_yield_) {
      std::this_thread::yield();
      yielded_ = cpu_ticks();
      until_yield_ = ticks(between_yields);
    }
    return true;
  }

  /// Whether there is another processor, so that anything can happen meanwhile.
  [[nodiscard]] static bool is_of_use() noexcept {
    static const bool several = usable_cpus() > 1;
    return several;
  }

 private:
  static constexpr std::uint64_t longest = 20'000;  // ns, as is the next
  static constexpr std::uint64_t between_yields = 2'000;

  static constexpr std::uint64_t ticks(std::uint64_t nanoseconds) noexcept {
    return nanoseconds * ticks_in_a_microsecond / 1000;
  }

  const std::uint64_t begin_;
  std::uint64_t until_yield_;
  std::uint64_t now_ = begin_;
  std::uint64_t yielded_ = begin_;
  inline static constinit thread_local bool has_woken_ = false;
};

}  // namespace concurrent::detail::os
