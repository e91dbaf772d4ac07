// SPDX-License-Identifier: MIT

#include "idle/idle.hpp"
#include "support/plain_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_idle<bench::PlainPool>("std::thread + mutex queue", bench::Kind::peer);

}  // namespace
