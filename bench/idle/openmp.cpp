// SPDX-License-Identifier: MIT

#include <atomic>

#include "idle/idle.hpp"

namespace {

void run(benchmark::State& state) {
  const int workers = static_cast<int>(bench::config().workers);
  bench::report_idle(state, [workers] {
    std::atomic<int> sum{0};
#pragma omp parallel for num_threads(workers) default(none) shared(sum)
    for (int i = 0; i < 10'000; ++i) sum += i;
    bench::require(sum == 49'995'000, "the sum of the loop");
  });
}

[[maybe_unused]] const bool added =
    bench::add("T9/idle", "OpenMP (" OPENMP_RUNTIME ")", bench::Kind::peer, run);

}  // namespace
