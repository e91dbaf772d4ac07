// SPDX-License-Identifier: MIT
#pragma once

// T9: the CPU time that a pool uses while it has nothing to do, in windows of 2 s, the first
// directly after work. All threads of the process count.

#include <time.h>

#include <chrono>
#include <thread>

#include "support/bench.hpp"

namespace bench {

inline double cpu_milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// `work()` gives every thread of the pool something to do and returns when it is done.
template <class Work>
void report_idle(benchmark::State& state, Work work) {
  constexpr std::chrono::seconds window(2);
  const auto idle = [&] {
    const double before = cpu_milliseconds();
    std::this_thread::sleep_for(window);
    return cpu_milliseconds() - before;
  };
  work();
  const double first = idle();
  double later = 0;
  const int later_windows = config().quick ? 1 : 2;
  for (int i = 0; i < later_windows; ++i) later = std::max(later, idle());
  report_elapsed(state, std::chrono::duration<double>(window).count() * (1 + later_windows));
  state.counters["CPU ms of the first 2 s"] = first;
  state.counters["CPU ms of later 2 s"] = later;
}

template <class Pool>
void pool_idle(benchmark::State& state) {
  Pool pool(config().workers);
  report_idle(state, [&] {
    std::vector<decltype(pool.submit([] { return std::size_t{0}; }))> futures;
    for (std::size_t i = 0; i < 10'000; ++i) futures.push_back(pool.submit([i] { return i; }));
    for (std::size_t i = 0; i < futures.size(); ++i) {
      require(Pool::get(futures[i]) == i, "the result of a task");
    }
  });
}

template <class Pool>
bool add_idle(const char* contestant, Kind kind) {
  return add("T9/idle", contestant, kind, pool_idle<Pool>);
}

}  // namespace bench
