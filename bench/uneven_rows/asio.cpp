// SPDX-License-Identifier: MIT
// A task a row.

#include <latch>
#include <memory>

#include "support/asio_pool.hpp"
#include "uneven_rows/uneven_rows.hpp"

namespace {

using bench::uneven_rows::row;

[[maybe_unused]] const bool added = bench::uneven_rows::add_rows(
    "Asio, a task a row", bench::Kind::peer, [](auto&& body) { body(); },
    [pool = std::shared_ptr<bench::AsioPool>()](std::vector<std::uint64_t>& results) mutable {
      if (!pool) pool = std::make_shared<bench::AsioPool>(bench::config().workers);
      std::latch finished(static_cast<std::ptrdiff_t>(results.size()));
      for (std::size_t i = 0; i < results.size(); ++i) {
        pool->post([&results, &finished, i] {
          results[i] = row(i);
          finished.count_down();
        });
      }
      finished.wait();
    });

}  // namespace
