// SPDX-License-Identifier: MIT

#include "round_trip/round_trip.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added = bench::add_pool_round_trip<bench::OneTbbPool>(
    "oneTBB enqueue + packaged_task", bench::Kind::peer);

}  // namespace
