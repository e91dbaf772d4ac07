// SPDX-License-Identifier: MIT
#pragma once

// Q1 to Q5: calls in other processes. The rows that are nothing but times of something small.

#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include "support/bench.hpp"

namespace bench {

/// Reports p50 and p99 of what `sample(i)` returns in seconds, in the unit of which a second has
/// `per_second` and whose name is `unit`. The first tenth warms up.
template <class Sample>
void report_quantiles(benchmark::State& state, std::size_t count, const char* unit,
                      double per_second, Sample&& sample) {
  std::vector<double> values;
  values.reserve(count);
  double elapsed = 0;
  for (std::size_t i = 0; i < count + count / 10; ++i) {
    const double value = sample(i);
    if (i < count / 10) continue;
    values.push_back(value);
    elapsed += value;
  }
  report_elapsed(state, elapsed);
  state.counters[std::string("p50 ") + unit] = quantile(values, 0.50) * per_second;
  state.counters[std::string("p99 ") + unit] = quantile(values, 0.99) * per_second;
}

/// Q2. `round_trip(i)` must return i.
template <class RoundTrip>
void report_process_round_trips(benchmark::State& state, std::size_t count,
                                std::chrono::microseconds pause, RoundTrip&& round_trip) {
  report_quantiles(state, count, "us", microseconds, [&](std::size_t i) {
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    const int number = static_cast<int>(i);
    int result = 0;
    const double elapsed = seconds([&] { result = round_trip(number); });
    require(result == number, "the result of a round trip");
    return elapsed;
  });
}

/// Q3: how often the bytes go there and back.
inline std::size_t identity_calls(std::size_t mebibytes) {
  return (config().quick ? 64 : 512) / mebibytes;
}

inline std::size_t round_trips() { return config().scaled(5'000); }
inline std::size_t round_trips_after_sleep() { return config().quick ? 100 : 300; }
inline constexpr std::chrono::milliseconds pause_between_round_trips{2};

}  // namespace bench
