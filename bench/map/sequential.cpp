// SPDX-License-Identifier: MIT

#include <algorithm>

#include "map/map.hpp"

namespace {

[[maybe_unused]] const bool added = bench::map::add_map(
    "sequential", bench::Kind::sequential, [](auto&& body) { body(); },
    [](auto function, const float* in, float* out, std::size_t size) {
      std::transform(in, in + size, out, function);
    });

}  // namespace
