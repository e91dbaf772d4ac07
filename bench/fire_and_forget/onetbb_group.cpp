// SPDX-License-Identifier: MIT

#include <oneapi/tbb/task_group.h>

#include "fire_and_forget/fire_and_forget.hpp"
#include "support/onetbb_pool.hpp"

namespace {

void run(benchmark::State& state) {
  bench::in_arena(bench::config().workers + 1, [&] {
    bench::report_fire_and_forget(state, [](std::size_t count) {
      tbb::task_group group;
      for (std::size_t i = 0; i < count; ++i) group.run([] { bench::tally(); });
      group.wait();
    });
  });
}

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "oneTBB task_group", bench::Kind::peer, run);

}  // namespace
