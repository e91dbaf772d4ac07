// SPDX-License-Identifier: MIT

#include "memory/memory.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_memory<bench::OneTbbPool>("oneTBB enqueue + packaged_task", bench::Kind::peer);

}  // namespace
