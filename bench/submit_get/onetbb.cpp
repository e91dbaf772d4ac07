// SPDX-License-Identifier: MIT

#include "submit_get/submit_get.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_submit_get<bench::OneTbbPool>("oneTBB enqueue + packaged_task", bench::Kind::peer);

}  // namespace
