// SPDX-License-Identifier: MIT
#pragma once

// T6: one function over 10,000,000 floats: x * x, which memory limits, and a polynomial of 30
// flops. Every contestant reads the same input; results go to an output that exists, and has been
// touched, before the clock starts, as parallel algorithms are used ("ready memory"). `map` of an
// executor makes its results anew, so there is a row of each function for peers that allocate
// theirs, too.

#include <cstddef>
#include <memory>
#include <ranges>
#include <vector>

#include "support/bench.hpp"

namespace bench::map {

struct Square {
  static constexpr const char* row = "T6/map_square";
  static constexpr const char* row_new_memory = "T6/map_square_new_memory";
  float operator()(float x) const { return x * x; }
};

/// Horner's rule: 15 multiplications and 15 additions.
struct Polynomial {
  static constexpr const char* row = "T6/map_30_flops";
  static constexpr const char* row_new_memory = "T6/map_30_flops_new_memory";
  float operator()(float x) const {
    float y = 0.9F;
    for (int i = 0; i < 15; ++i) y = y * x + 0.5F;
    return y;
  }
};

inline const std::vector<float>& input() {
  static const std::vector<float> values = [] {
    std::vector<float> made(config().scaled(10'000'000));
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i % 1'000) / 1'000;
    return made;
  }();
  return values;
}

/// Every element, compared with a calculation in the calling thread.
template <class Function, class Results>
void check(const Results& results) {
  const auto& values = input();
  require(static_cast<std::size_t>(std::ranges::distance(results)) == values.size(),
          "the number of the map's results");
  auto result = std::ranges::begin(results);
  bool right = true;
  for (const float x : values) right &= *result++ == Function{}(x);
  require(right, "an element of the map");
}

/// Maps that are timed together, so that a short one is not lost in the clock.
inline int map_repetitions() { return config().quick ? 5 : 3; }

/// `transform(function, in, out, size)` fills `out`, which is ready (or, `fresh`, a new vector's).
template <class Function, class Transform>
void report_map(benchmark::State& state, bool fresh, Transform transform) {
  const auto& values = input();
  std::vector<float> ready(fresh ? 0 : values.size());
  const int repetitions = map_repetitions();
  report_time(state, "ms", repetitions, milliseconds, [&] {
    for (int i = 0; i < repetitions; ++i) {
      if (!fresh) {
        transform(Function{}, values.data(), ready.data(), values.size());
        benchmark::DoNotOptimize(ready.data());
        benchmark::ClobberMemory();
        continue;
      }
      const std::unique_ptr<float[]> made(new float[values.size()]);
      transform(Function{}, values.data(), made.get(), values.size());
      benchmark::DoNotOptimize(made.get());
      benchmark::ClobberMemory();
    }
  });
  ready.resize(values.size());
  transform(Function{}, values.data(), ready.data(), values.size());
  check<Function>(ready);
}

/// Registers both functions. `around(body)` runs body where the contestant's threads are limited to
/// config().workers.
template <class Around, class Transform>
bool add_map(const char* contestant, Kind kind, Around around, Transform transform) {
  const auto one = [=]<class Function>(Function, const char* row, bool fresh) {
    add(row, contestant, kind, [=](benchmark::State& state) {
      around([&] { report_map<Function>(state, fresh, transform); });
    });
  };
  one(Square{}, Square::row, false);
  one(Square{}, Square::row_new_memory, true);
  one(Polynomial{}, Polynomial::row, false);
  one(Polynomial{}, Polynomial::row_new_memory, true);
  return true;
}

}  // namespace bench::map
