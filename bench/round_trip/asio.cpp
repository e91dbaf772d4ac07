// SPDX-License-Identifier: MIT

#include "round_trip/round_trip.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_pool_round_trip<bench::AsioPool>("Asio thread_pool", bench::Kind::peer);

}  // namespace
