// SPDX-License-Identifier: MIT

#include "round_trip/round_trip.hpp"
#include "support/plain_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_pool_round_trip<bench::PlainPool>("std::thread + mutex queue", bench::Kind::peer);

}  // namespace
