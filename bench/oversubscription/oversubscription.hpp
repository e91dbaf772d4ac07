// SPDX-License-Identifier: MIT
#pragma once

// Nothing degrades: T1 with 8 times more workers than CPUs, from 32 producers, in pools inside
// every task of another pool, and with the whole process on one CPU. A tenth of T1's tasks each.

#include <sched.h>

#include <cerrno>
#include <system_error>

#include "submit_get/submit_get.hpp"

namespace bench {

/// Keeps the process on the first CPU that it may use, and gives the others back at the end.
class OneCpu {
 public:
  OneCpu() {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_)) continue;
      CPU_SET(cpu, &one);
      break;
    }
    if (sched_setaffinity(0, sizeof(one), &one) != 0) {
      throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
    }
  }
  ~OneCpu() { sched_setaffinity(0, sizeof(before_), &before_); }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;

 private:
  cpu_set_t before_{};
};

template <class Pool>
void many_workers(benchmark::State& state) {
  Pool pool(config().workers * 8);
  report_submit_get(state, pool, config().scaled(100'000), 1);
}

template <class Pool>
void many_producers(benchmark::State& state) {
  Pool pool(config().workers);
  report_submit_get(state, pool, config().scaled(96'000), 32);
}

template <class Pool>
void one_cpu(benchmark::State& state) {
  const OneCpu limited;
  Pool pool(config().workers);
  report_submit_get(state, pool, config().scaled(100'000), 1);
}

template <class Pool>
void pools_in_a_pool(benchmark::State& state) {
  constexpr std::size_t inner_tasks = 1'000;
  const auto outer_tasks = config().scaled(100);
  report_time(state, "ns/task", static_cast<double>(inner_tasks * outer_tasks), nanoseconds, [&] {
    Pool outer(config().workers);
    std::vector<Handle<Pool>> futures;
    for (std::size_t i = 0; i < outer_tasks; ++i) {
      futures.push_back(outer.submit([number = i] {
        Pool inner(config().workers);
        std::vector<Handle<Pool>> inner_futures;
        submit_and_get(inner, inner_tasks, inner_futures);
        return number;
      }));
    }
    std::size_t sum = 0;
    for (auto& future : futures) sum += static_cast<std::size_t>(Pool::get(future));
    require(sum == outer_tasks * (outer_tasks - 1) / 2, "the sum of the outer tasks' results");
  });
}

template <class Pool>
bool add_oversubscription(const char* contestant, Kind kind) {
  return add("T11/8_times_more_workers", contestant, kind, many_workers<Pool>) &&
         add("T11/32_producers", contestant, kind, many_producers<Pool>) &&
         add("T11/one_cpu", contestant, kind, one_cpu<Pool>) &&
         add("T11/pools_in_a_pool", contestant, kind, pools_in_a_pool<Pool>);
}

}  // namespace bench
