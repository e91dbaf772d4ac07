// SPDX-License-Identifier: MIT

#include "idle/idle.hpp"
#include "support/concurrent_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_idle<bench::ConcurrentPool>("concurrent", bench::Kind::ours);

}  // namespace
