// SPDX-License-Identifier: MIT

#include "oversubscription/oversubscription.hpp"
#include "support/asio_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_oversubscription<bench::AsioPool>("Asio thread_pool", bench::Kind::peer);

}  // namespace
