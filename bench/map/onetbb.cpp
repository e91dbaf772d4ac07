// SPDX-License-Identifier: MIT

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>

#include "map/map.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added = bench::map::add_map(
    "oneTBB parallel_for", bench::Kind::peer,
    [](auto&& body) { bench::in_arena(bench::config().workers, body); },
    [](auto function, const float* in, float* out, std::size_t size) {
      tbb::parallel_for(tbb::blocked_range<std::size_t>(0, size), [=](const auto& range) {
        for (auto i = range.begin(); i != range.end(); ++i) out[i] = function(in[i]);
      });
    });

}  // namespace
