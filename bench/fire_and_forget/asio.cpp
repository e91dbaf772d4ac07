// SPDX-License-Identifier: MIT

#include "fire_and_forget/fire_and_forget.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "Asio thread_pool", bench::Kind::peer,
               bench::post_and_poll<bench::AsioPool>);

}  // namespace
