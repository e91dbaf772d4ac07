// SPDX-License-Identifier: MIT

#include "uneven_rows/uneven_rows.hpp"

namespace {

using bench::uneven_rows::row;

[[maybe_unused]] const bool added = bench::uneven_rows::add_rows(
    "sequential", bench::Kind::sequential, [](auto&& body) { body(); },
    [](std::vector<std::uint64_t>& results) {
      for (std::size_t i = 0; i < results.size(); ++i) results[i] = row(i);
    });

}  // namespace
