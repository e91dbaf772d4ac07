// SPDX-License-Identifier: MIT

#include "oversubscription/oversubscription.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added = bench::add_oversubscription<bench::OneTbbPool>(
    "oneTBB enqueue + packaged_task", bench::Kind::peer);

}  // namespace
