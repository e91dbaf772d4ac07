// SPDX-License-Identifier: MIT
#pragma once

// How long a call may wait. Counterpart: the `timeout` argument of Python's calls, None included.

#include <concurrent/detail/os/futex.hpp>
#include <concurrent/detail/standard.hpp>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace concurrent::futures {

/// A length of time, made from any std::chrono duration; without one, forever.
///
/// Zero and negative durations do not wait. Durations too long for the clock are forever.
/// @throws std::invalid_argument for a duration that is not a number.
class Timeout {
 public:
  constexpr Timeout() = default;

  template <class Rep, class Period>
  constexpr Timeout(  // NOLINT(google-explicit-constructor): `.timeout = 2s` is the use
      std::chrono::duration<Rep, Period> length)
      : nanoseconds_(saturated(length)) {}

  [[nodiscard]] constexpr bool forever() const { return nanoseconds_ == forever_; }

  /// The point of the steady clock at which the time is over, counted from now.
  [[nodiscard]] concurrent::detail::Deadline deadline() const {
    using concurrent::detail::Deadline;
    if (forever()) return Deadline();
    const auto now = Deadline::Clock::now();
    const std::chrono::nanoseconds left = (Deadline::Clock::time_point::max)() - now;
    if (nanoseconds_ >= left.count()) return Deadline();
    return Deadline(now + std::chrono::nanoseconds(nanoseconds_));
  }

 private:
  static constexpr std::int64_t forever_ = (std::numeric_limits<std::int64_t>::max)();

  template <class Rep, class Period>
  static constexpr std::int64_t saturated(std::chrono::duration<Rep, Period> length) {
    if constexpr (std::is_floating_point_v<Rep>) {
      if (length.count() != length.count()) {
        throw std::invalid_argument("a timeout must be a number, not NaN");
      }
    }
    if (length <= length.zero()) return 0;
    using Exact = std::chrono::duration<long double, std::nano>;
    const long double nanoseconds = Exact(length).count();
    // 2^63, the first count too large; what is between it and forever_ does not exist.
    if (nanoseconds >= 9223372036854775808.0L) return forever_;
    return static_cast<std::int64_t>(nanoseconds);
  }

  std::int64_t nanoseconds_ = forever_;
};

}  // namespace concurrent::futures
