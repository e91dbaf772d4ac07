// SPDX-License-Identifier: MIT
#pragma once

// T7: 2,000 rows of the Mandelbrot set whose cost differs 300 times, so that equal shares of rows
// are unequal work.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/bench.hpp"

namespace bench::uneven_rows {

inline constexpr std::size_t columns = 512;
inline constexpr int most_iterations = 330;
inline std::size_t rows() { return config().scaled(2'000); }

/// The iterations of all pixels of a row; the dearest row has about 300 times those of the
/// cheapest.
inline std::uint64_t row(std::size_t number) {
  const double imaginary =
      2.2 * (2.0 * static_cast<double>(number) / static_cast<double>(rows()) - 1);
  std::uint64_t total = 0;
  for (std::size_t column = 0; column < columns; ++column) {
    const double real = -2.0 + 2.5 * static_cast<double>(column) / columns;
    double x = 0;
    double y = 0;
    int iteration = 0;
    for (; iteration < most_iterations && x * x + y * y <= 4; ++iteration) {
      const double next = x * x - y * y + real;
      y = 2 * x * y + imaginary;
      x = next;
    }
    total += static_cast<std::uint64_t>(iteration);
  }
  return total;
}

/// What every row must give, computed once in the calling thread.
inline const std::vector<std::uint64_t>& expected() {
  static const std::vector<std::uint64_t> values = [] {
    std::vector<std::uint64_t> made(rows());
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = row(i);
    return made;
  }();
  return values;
}

/// `fill(results)` computes all rows.
template <class Fill>
void report_rows(benchmark::State& state, Fill fill) {
  std::vector<std::uint64_t> results(rows());
  static_cast<void>(expected());
  report_time(state, "ms", 1, milliseconds, [&] {
    fill(results);
    require(results == expected(), "a row of the Mandelbrot set");
  });
}

/// Registers `fill`; `around(body)` runs body where the threads are limited to config().workers.
template <class Around, class Fill>
bool add_rows(const char* contestant, Kind kind, Around around, Fill fill) {
  return add("T7/uneven_rows", contestant, kind,
             [=](benchmark::State& state) { around([&] { report_rows(state, fill); }); });
}

}  // namespace bench::uneven_rows
