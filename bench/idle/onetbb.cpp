// SPDX-License-Identifier: MIT

#include "idle/idle.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_idle<bench::OneTbbPool>("oneTBB enqueue + packaged_task", bench::Kind::peer);

}  // namespace
