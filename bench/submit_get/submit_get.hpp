// SPDX-License-Identifier: MIT
#pragma once

// T1 and T3: submit 1,000,000 tasks from outside the pool, keep the futures, get every result.
// A task returns its own number, which is as empty as a task can be whose result is checked.
// The clock covers submitting, getting, and freeing the futures.

#include <cstddef>
#include <thread>
#include <vector>

#include "support/bench.hpp"

namespace bench {

inline auto numbered_task(std::size_t number) {
  return [number] { return number; };
}

template <class Pool>
using Handle = decltype(std::declval<Pool&>().submit(numbered_task(0)));

/// One producer's share: `count` tasks with the numbers from 0.
template <class Pool>
void submit_and_get(Pool& pool, std::size_t count, std::vector<Handle<Pool>>& futures) {
  for (std::size_t i = 0; i < count; ++i) futures.push_back(pool.submit(numbered_task(i)));
  std::size_t sum = 0;
  for (auto& future : futures) sum += Pool::get(future);
  futures.clear();
  require(sum == count * (count - 1) / 2, "the sum of the tasks' results");
}

/// Reports the nanoseconds a task for `count` tasks from `producers` threads.
template <class Pool>
void report_submit_get(benchmark::State& state, Pool& pool, std::size_t count,
                       std::size_t producers) {
  const auto share = count / producers;
  std::vector<std::vector<Handle<Pool>>> futures(producers);
  for (auto& mine : futures) mine.reserve(share);
  report_time(state, "ns/task", static_cast<double>(share * producers), nanoseconds, [&] {
    if (producers == 1) return submit_and_get(pool, share, futures[0]);
    std::vector<std::exception_ptr> errors(producers);
    std::vector<std::jthread> threads;
    for (std::size_t p = 0; p < producers; ++p) {
      threads.emplace_back([&, p] {
        try {
          submit_and_get(pool, share, futures[p]);
        } catch (...) {
          errors[p] = std::current_exception();
        }
      });
    }
    threads.clear();
    for (const auto& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  });
}

template <class Pool>
void one_producer(benchmark::State& state) {
  Pool pool(config().workers);
  report_submit_get(state, pool, config().scaled(1'000'000), 1);
}

template <class Pool>
void two_producers(benchmark::State& state) {
  Pool pool(config().workers);
  report_submit_get(state, pool, config().scaled(1'000'000), 2);
}

/// Registers `Pool` for both rows.
template <class Pool>
bool add_submit_get(const char* contestant, Kind kind) {
  return add("T1/submit_get", contestant, kind, one_producer<Pool>) &&
         add("T3/two_producers", contestant, kind, two_producers<Pool>);
}

}  // namespace bench
