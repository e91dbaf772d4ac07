// SPDX-License-Identifier: MIT

#include "fire_and_forget/fire_and_forget.hpp"
#include "support/onetbb_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "oneTBB enqueue", bench::Kind::peer,
               bench::post_and_poll<bench::OneTbbPool>);

}  // namespace
