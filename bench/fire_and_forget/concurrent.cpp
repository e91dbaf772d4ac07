// SPDX-License-Identifier: MIT

#include "fire_and_forget/fire_and_forget.hpp"
#include "support/concurrent_pool.hpp"

namespace {

void run(benchmark::State& state) {
  concurrent::futures::ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  bench::report_fire_and_forget(state, [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) executor.post([] { bench::tally(); });
    executor.wait_idle();
  });
}

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "concurrent", bench::Kind::ours, run);

}  // namespace
