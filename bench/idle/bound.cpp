// SPDX-License-Identifier: MIT
// What the measurement itself costs: a process without a pool.

#include "idle/idle.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add("T9/idle", "no pool", bench::Kind::bound,
               [](benchmark::State& state) { bench::report_idle(state, [] {}); });

}  // namespace
