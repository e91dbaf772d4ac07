// SPDX-License-Identifier: MIT

#include "memory/memory.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_memory<bench::AsioPool>("Asio thread_pool", bench::Kind::peer);

}  // namespace
