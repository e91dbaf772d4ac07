// SPDX-License-Identifier: MIT

#include <algorithm>
#include <execution>
#include <numeric>

#include "support/onetbb_pool.hpp"
#include "uneven_rows/uneven_rows.hpp"

namespace {

using bench::uneven_rows::row;

[[maybe_unused]] const bool added = bench::uneven_rows::add_rows(
    "std::execution::par", bench::Kind::peer,
    [](auto&& body) { bench::in_arena(bench::config().workers, body); },
    [](std::vector<std::uint64_t>& results) {
      std::iota(results.begin(), results.end(), std::uint64_t{0});
      std::transform(std::execution::par, results.begin(), results.end(), results.begin(),
                     [](std::uint64_t number) { return row(number); });
    });

}  // namespace
