// SPDX-License-Identifier: MIT

#include <oneapi/tbb/parallel_for.h>

#include "support/onetbb_pool.hpp"
#include "uneven_rows/uneven_rows.hpp"

namespace {

using bench::uneven_rows::row;

[[maybe_unused]] const bool added = bench::uneven_rows::add_rows(
    "oneTBB parallel_for", bench::Kind::peer,
    [](auto&& body) { bench::in_arena(bench::config().workers, body); },
    [](std::vector<std::uint64_t>& results) {
      tbb::parallel_for(std::size_t{0}, results.size(),
                        [&results](std::size_t i) { results[i] = row(i); });
    });

}  // namespace
