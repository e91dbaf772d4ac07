// SPDX-License-Identifier: MIT
#pragma once

// Sleeping on a 32-bit word until another thread changes it, with a deadline. std::atomic::wait
// has no deadline, and a condition variable needs a mutex beside every word.

#include <atomic>
#include <concurrent/detail/standard.hpp>
#include <cstdint>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#else
#include <condition_variable>
#include <functional>
#include <mutex>
#endif

namespace concurrent::detail {

/// A point of the steady clock, or never. What every blocking call of the library counts against.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  constexpr Deadline() = default;
  explicit constexpr Deadline(Clock::time_point at) : at_(at) {}

  [[nodiscard]] constexpr bool never() const { return at_ == (Clock::time_point::max)(); }
  [[nodiscard]] bool passed() const { return !never() && Clock::now() >= at_; }
  [[nodiscard]] constexpr Clock::time_point at() const { return at_; }

 private:
  Clock::time_point at_ = (Clock::time_point::max)();
};

}  // namespace concurrent::detail

namespace concurrent::detail::os {

#if defined(__linux__)

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t),
              "a futex word is exactly four bytes");

inline long futex(const std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
                  const timespec* until) noexcept {
  return ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, until, nullptr,
                   FUTEX_BITSET_MATCH_ANY);
}

/// Sleeps while `word` holds `expected`, at most until the deadline. Returns on a wake-up, when the
/// word differs, on a signal, and on the deadline: the caller looks at the word again.
[[gnu::noinline]] inline void futex_wait(const std::atomic<std::uint32_t>& word,
                                         std::uint32_t expected, Deadline deadline = {}) noexcept {
  if (deadline.never()) {
    futex(word, FUTEX_WAIT_BITSET, expected, nullptr);
    return;
  }
  // std::chrono::steady_clock is CLOCK_MONOTONIC here, which FUTEX_WAIT_BITSET counts by.
  auto since_boot = deadline.at().time_since_epoch();
  if (since_boot < since_boot.zero()) since_boot = since_boot.zero();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds);
  timespec until{};
  until.tv_sec = static_cast<decltype(until.tv_sec)>(seconds.count());
  until.tv_nsec = static_cast<decltype(until.tv_nsec)>(rest.count());
  futex(word, FUTEX_WAIT_BITSET, expected, &until);
}

[[gnu::noinline]] inline void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept {
  futex(word, FUTEX_WAKE, 1, nullptr);
}

[[gnu::noinline]] inline void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  futex(word, FUTEX_WAKE, INT_MAX, nullptr);
}

#else

// Elsewhere: a small table of condition variables, chosen by the word's address.
struct ParkingSpot {
  std::mutex mutex;
  std::condition_variable changed;
};

inline ParkingSpot& parking_spot(const void* word) noexcept {
  static ParkingSpot spots[61];
  return spots[std::hash<const void*>{}(word) % 61];
}

inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       Deadline deadline = {}) noexcept {
  ParkingSpot& spot = parking_spot(&word);
  std::unique_lock lock(spot.mutex);
  if (word.load(std::memory_order_seq_cst) != expected) return;
  if (deadline.never()) {
    spot.changed.wait(lock);
  } else {
    spot.changed.wait_until(lock, deadline.at());
  }
}

inline void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  ParkingSpot& spot = parking_spot(&word);
  { const std::scoped_lock lock(spot.mutex); }
  spot.changed.notify_all();
}

// A spot is shared by words, so waking one thread could wake one that waits for another word.
inline void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept {
  futex_wake_all(word);
}

#endif

}  // namespace concurrent::detail::os
