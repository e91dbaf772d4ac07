// SPDX-License-Identifier: MIT
// No option set.

#include <ranges>

#include "support/concurrent_pool.hpp"
#include "uneven_rows/uneven_rows.hpp"

namespace {

using namespace bench::uneven_rows;

void run(benchmark::State& state) {
  concurrent::futures::ThreadPoolExecutor executor(std::size_t{bench::config().workers});
  report_rows(state, [&](std::vector<std::uint64_t>& results) {
    results = executor.map(row, std::views::iota(std::size_t{0}, rows())).to_vector();
  });
}

[[maybe_unused]] const bool added =
    bench::add("T7/uneven_rows", "concurrent", bench::Kind::ours, run);

}  // namespace
