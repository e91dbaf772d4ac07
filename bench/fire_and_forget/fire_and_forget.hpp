// SPDX-License-Identifier: MIT
#pragma once

// T2: 1,000,000 tasks without a future, from outside the pool, until the last one has run.

#include <cstdint>

#include "support/bench.hpp"
#include "support/tally.hpp"

namespace bench {

/// `round(count)` posts `count` calls of tally() and returns when all have run.
template <class Round>
void report_fire_and_forget(benchmark::State& state, Round&& round) {
  const auto count = config().scaled(1'000'000);
  report_time(state, "ns/task", static_cast<double>(count), nanoseconds, [&] {
    const auto before = tallied();
    round(count);
    require(tallied() - before == count, "the number of tasks that ran");
  });
}

/// For pools that cannot be asked whether they are idle.
template <class Pool>
void post_and_poll(benchmark::State& state) {
  Pool pool(config().workers);
  report_fire_and_forget(state, [&](std::size_t count) {
    const auto target = tallied() + count;
    for (std::size_t i = 0; i < count; ++i) pool.post([] { tally(); });
    wait_until_tallied(target);
  });
}

}  // namespace bench
