// SPDX-License-Identifier: MIT

#include "memory/memory.hpp"
#include "support/concurrent_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_memory<bench::ConcurrentPool>("concurrent", bench::Kind::ours);

}  // namespace
