// SPDX-License-Identifier: MIT
// No option set. Into ready memory the results are copied as they come; new memory is to_vector.

#include <algorithm>
#include <memory>

#include "map/map.hpp"
#include "support/concurrent_pool.hpp"

namespace {

using concurrent::futures::ThreadPoolExecutor;
using namespace bench::map;

template <class Function>
void ready_memory(benchmark::State& state) {
  ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  report_map<Function>(state, false, [&](auto function, const float*, float* out, std::size_t) {
    for (const float result : executor.map(function, input())) *out++ = result;
  });
}

template <class Function>
void new_memory(benchmark::State& state) {
  ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  const int repetitions = map_repetitions();
  bench::report_time(state, "ms", repetitions, bench::milliseconds, [&] {
    for (int i = 0; i < repetitions; ++i) {
      const auto results = executor.map(Function{}, input()).to_vector();
      benchmark::DoNotOptimize(results.data());
    }
  });
  check<Function>(executor.map(Function{}, input()).to_vector());
}

template <class Function>
bool add_function() {
  return bench::add(Function::row, "concurrent", bench::Kind::ours, ready_memory<Function>) &&
         bench::add(Function::row_new_memory, "concurrent", bench::Kind::ours,
                    new_memory<Function>);
}

[[maybe_unused]] const bool added = add_function<Square>() && add_function<Polynomial>();

}  // namespace
