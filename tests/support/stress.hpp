// SPDX-License-Identifier: MIT
#pragma once

// What the stress tests share. In a normal run each takes a second or so; CONCURRENT_STRESS_FACTOR
// in the environment multiplies their rounds. With 100, a million tasks meet workers that are going
// to sleep; CONCURRENT_TEST_TIME_LIMIT has to grow with it.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/scaled.hpp"

namespace support {

/// CONCURRENT_STRESS_FACTOR, 1 without it. @throws std::invalid_argument
inline std::size_t stress_factor() {
  const char* const text = std::getenv("CONCURRENT_STRESS_FACTOR");
  if (text == nullptr || *text == '\0') return 1;
  char* rest = nullptr;
  const unsigned long factor = std::strtoul(text, &rest, 10);
  if (*rest != '\0' || *text == '-' || factor == 0 || factor > 1'000'000) {
    throw std::invalid_argument("CONCURRENT_STRESS_FACTOR is not a number from 1 to 1000000: " +
                                std::string(text));
  }
  return factor;
}

/// `count` times the factor, fewer under a sanitiser.
inline std::size_t rounds(std::size_t count) { return scaled(count) * stress_factor(); }

/// Pauses of random lengths, the same ones each time, to find moments and not to order events.
class Pauses {
 public:
  explicit Pauses(std::uint32_t seed,
                  std::chrono::microseconds most = std::chrono::microseconds(60))
      : random_(seed), nanoseconds_(0, std::chrono::nanoseconds(most).count()) {}
  /// Up to `most`, spinning: a sleep would take longer.
  void pause() {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::nanoseconds(nanoseconds_(random_));
    while (std::chrono::steady_clock::now() < end) {
    }
  }
  bool coin() { return random_() % 2 == 0; }

 private:
  std::minstd_rand random_;
  std::uniform_int_distribution<std::int64_t> nanoseconds_;
};

/// How often each of some tasks ran.
class Tally {
 public:
  explicit Tally(std::size_t count) : count_(count), ran_(new std::atomic<unsigned>[count]()) {}
  void ran(std::size_t i) { ran_[i].fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] unsigned times(std::size_t i) const {
    return ran_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t not_exactly_once() const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count_; ++i) wrong += times(i) == 1 ? 0U : 1U;
    return wrong;
  }

 private:
  std::size_t count_;
  std::unique_ptr<std::atomic<unsigned>[]> ran_;
};

}  // namespace support
