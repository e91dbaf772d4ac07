// SPDX-License-Identifier: MIT

#include "submit_get/submit_get.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_submit_get<bench::AsioPool>("Asio thread_pool", bench::Kind::peer);

}  // namespace
