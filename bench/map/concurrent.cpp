// SPDX-License-Identifier: MIT
// No option set. Ready memory is filled by move_to; new memory is what to_vector makes. A loop over
// the results is what most programs write, so it has a row of its own.

#include <memory>
#include <span>

#include "map/map.hpp"
#include "support/concurrent_pool.hpp"

namespace {

using concurrent::futures::ThreadPoolExecutor;
using namespace bench::map;

template <class Function>
void ready_memory(benchmark::State& state) {
  ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  report_map<Function>(state, false,
                       [&](auto function, const float* in, float* out, std::size_t size) {
                         executor.map(function, std::span(in, size)).move_to(std::span(out, size));
                       });
}

template <class Function>
void new_memory(benchmark::State& state) {
  ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  const int repetitions = map_repetitions();
  bench::report_time(state, "ms", repetitions, bench::milliseconds, [&] {
    for (int i = 0; i < repetitions; ++i) {
      const auto results = executor.map(Function{}, std::span(input())).to_vector();
      benchmark::DoNotOptimize(results.data());
    }
  });
  check<Function>(executor.map(Function{}, std::span(input())).to_vector());
}

/// `for (float result : executor.map(function, input))`, into ready memory.
template <class Function>
void loop(benchmark::State& state) {
  ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  report_map<Function>(state, false,
                       [&](auto function, const float* in, float* out, std::size_t size) {
                         for (const float result : executor.map(function, std::span(in, size)))
                           *out++ = result;
                       });
}

template <class Function>
bool add_function() {
  return bench::add(Function::row, "concurrent", bench::Kind::ours, ready_memory<Function>) &&
         bench::add(Function::row, "concurrent, a loop over the results", bench::Kind::ours,
                    loop<Function>) &&
         bench::add(Function::row_new_memory, "concurrent", bench::Kind::ours,
                    new_memory<Function>);
}

[[maybe_unused]] const bool added = add_function<Square>() && add_function<Polynomial>();

}  // namespace
