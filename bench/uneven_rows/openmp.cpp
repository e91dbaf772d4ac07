// SPDX-License-Identifier: MIT

#include "uneven_rows/uneven_rows.hpp"

namespace {

using bench::uneven_rows::row;

void fill(std::vector<std::uint64_t>& results) {
  const int workers = static_cast<int>(bench::config().workers);
#pragma omp parallel for schedule(dynamic) num_threads(workers) default(none) shared(results)
  for (std::size_t i = 0; i < results.size(); ++i) results[i] = row(i);
}

[[maybe_unused]] const bool added = bench::uneven_rows::add_rows(
    "OpenMP (" OPENMP_RUNTIME ") schedule(dynamic)", bench::Kind::peer, [](auto&& body) { body(); },
    fill);

}  // namespace
