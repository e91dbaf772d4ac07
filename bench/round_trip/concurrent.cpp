// SPDX-License-Identifier: MIT

#include "round_trip/round_trip.hpp"
#include "support/concurrent_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_pool_round_trip<bench::ConcurrentPool>("concurrent", bench::Kind::ours);

}  // namespace
