// SPDX-License-Identifier: MIT
// One thread of the team makes the tasks, the others run them; it helps when they lag behind.

#include "fire_and_forget/fire_and_forget.hpp"

namespace {

void run(benchmark::State& state) {
  const int team = static_cast<int>(bench::config().workers);
  bench::report_fire_and_forget(state, [team](std::size_t count) {
#pragma omp parallel num_threads(team) default(none) shared(count)
#pragma omp single
    for (std::size_t i = 0; i < count; ++i) {
#pragma omp task default(none)
      bench::tally();
    }
  });
}

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "OpenMP (" OPENMP_RUNTIME ") task", bench::Kind::peer, run);

}  // namespace
