// SPDX-License-Identifier: MIT

#include "idle/idle.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_idle<bench::AsioPool>("Asio thread_pool", bench::Kind::peer);

}  // namespace
