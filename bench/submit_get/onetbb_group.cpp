// SPDX-License-Identifier: MIT
// oneTBB's task_group with a slot a task: less than a future (no task can be waited for alone, none
// can fail alone), and what a oneTBB program would do instead.

#include <oneapi/tbb/task_group.h>

#include <numeric>
#include <vector>

#include "submit_get/submit_get.hpp"
#include "support/onetbb_pool.hpp"

namespace {

void one_producer(benchmark::State& state) {
  const auto count = bench::config().scaled(1'000'000);
  std::vector<std::size_t> results(count);
  bench::in_arena(bench::config().workers + 1, [&] {
    bench::report_time(state, "ns/task", static_cast<double>(count), bench::nanoseconds, [&] {
      tbb::task_group group;
      for (std::size_t i = 0; i < count; ++i) group.run([&results, i] { results[i] = i; });
      group.wait();
      const auto sum = std::accumulate(results.begin(), results.end(), std::size_t{0});
      bench::require(sum == count * (count - 1) / 2, "the sum of the tasks' results");
    });
  });
}

[[maybe_unused]] const bool added =
    bench::add("T1/submit_get", "oneTBB task_group + slots", bench::Kind::related, one_producer);

}  // namespace
