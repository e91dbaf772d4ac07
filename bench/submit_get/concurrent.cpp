// SPDX-License-Identifier: MIT

#include "submit_get/submit_get.hpp"
#include "support/concurrent_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_submit_get<bench::ConcurrentPool>("concurrent", bench::Kind::ours);

}  // namespace
