// SPDX-License-Identifier: MIT
// libstdc++ runs its parallel algorithms on oneTBB.

#include <algorithm>
#include <execution>

#include "map/map.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added = bench::map::add_map(
    "std::execution::par", bench::Kind::peer,
    [](auto&& body) { bench::in_arena(bench::config().workers, body); },
    [](auto function, const float* in, float* out, std::size_t size) {
      std::transform(std::execution::par, in, in + size, out, function);
    });

}  // namespace
