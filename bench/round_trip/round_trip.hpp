// SPDX-License-Identifier: MIT
#pragma once

// T4: how long one task takes from submit to its result, when the tasks follow each other, and when
// the pool has had 2 ms to fall asleep before each.

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "support/bench.hpp"

namespace bench {

/// Reports p50 and p99 of `round_trip(i)`, which must return i.
template <class RoundTrip>
void report_round_trips(benchmark::State& state, std::size_t rounds,
                        std::chrono::microseconds pause, RoundTrip&& round_trip) {
  std::vector<double> latencies;
  latencies.reserve(rounds);
  double elapsed = 0;
  for (std::size_t i = 0; i < rounds + rounds / 10; ++i) {
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    std::size_t result = 0;
    const double latency = seconds([&] { result = round_trip(i); });
    require(result == i, "the result of a round trip");
    if (i < rounds / 10) continue;  // the first tenth warms up
    latencies.push_back(latency);
    elapsed += latency;
  }
  report_elapsed(state, elapsed);
  state.counters["p50 us"] = quantile(latencies, 0.50) * microseconds;
  state.counters["p99 us"] = quantile(latencies, 0.99) * microseconds;
}

/// Registers both rows; `make()` returns the function that makes one round trip.
template <class Make>
bool add_round_trip(const char* contestant, Kind kind, Make make) {
  add("T4/round_trip", contestant, kind, [make](benchmark::State& state) {
    auto contest = make();
    report_round_trips(state, config().scaled(50'000), {}, *contest);
  });
  return add("T4/round_trip_after_sleep", contestant, kind, [make](benchmark::State& state) {
    auto contest = make();
    report_round_trips(state, config().quick ? 150 : 500, std::chrono::milliseconds(2), *contest);
  });
}

/// A round trip through a pool.
template <class Pool>
struct PoolRoundTrip {
  std::size_t operator()(std::size_t number) {
    auto future = pool.submit([number] { return number; });
    return Pool::get(future);
  }
  Pool pool{config().workers};
};

template <class Pool>
bool add_pool_round_trip(const char* contestant, Kind kind) {
  return add_round_trip(contestant, kind, [] { return std::make_unique<PoolRoundTrip<Pool>>(); });
}

}  // namespace bench
