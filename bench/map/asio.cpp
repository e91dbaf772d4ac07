// SPDX-License-Identifier: MIT
// Asio has no parallel loop: four pieces a worker, and a latch.

#include <algorithm>
#include <latch>

#include "map/map.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added = bench::map::add_map(
    "Asio, four pieces a worker", bench::Kind::peer, [](auto&& body) { body(); },
    [pool = std::shared_ptr<bench::AsioPool>()](auto function, const float* in, float* out,
                                                std::size_t size) mutable {
      if (!pool) pool = std::make_shared<bench::AsioPool>(bench::config().workers);
      const auto pieces = std::size_t{bench::config().workers} * 4;
      std::latch finished(static_cast<std::ptrdiff_t>(pieces));
      for (std::size_t piece = 0; piece < pieces; ++piece) {
        const auto first = size * piece / pieces;
        const auto last = size * (piece + 1) / pieces;
        pool->post([=, &finished] {
          std::transform(in + first, in + last, out + first, function);
          finished.count_down();
        });
      }
      finished.wait();
    });

}  // namespace
