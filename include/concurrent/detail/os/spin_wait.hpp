// SPDX-License-Identifier: MIT
#pragma once

// How a thread waits for another one before it sleeps. Nothing in Python.

#include <concurrent/detail/os/cpu.hpp>
#include <cstdint>
#include <thread>

namespace concurrent::detail::os {

/// A short wait by the clock. Use: look, then turn() until it is false, then sleep. It gives the
/// processor away now and then, as who is awaited may need this very one: soon for the first time,
/// if what is awaited was to be done at once.
class SpinWait {
 public:
  enum class FirstYield : std::uint64_t { soon = 500, later = 2000 };  // ns

  explicit SpinWait(FirstYield first) noexcept
      : now_(cpu_ticks()), end_(now_ + ticks(longest)), yield_at_(now_ + ticks(first)) {}

  /// Waits until it is time to look again; false: it is time to sleep.
  bool turn() noexcept {
    now_ = cpu_relax_since(now_);
    if (now_ >= end_) return false;
    if (now_ >= yield_at_) {
      std::this_thread::yield();
      yield_at_ = cpu_ticks() + ticks(between_yields);
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
  static constexpr std::uint64_t ticks(FirstYield first) noexcept {
    return ticks(static_cast<std::uint64_t>(first));
  }

  std::uint64_t now_;
  const std::uint64_t end_;
  std::uint64_t yield_at_;
};

}  // namespace concurrent::detail::os
