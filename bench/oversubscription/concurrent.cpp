// SPDX-License-Identifier: MIT

#include "oversubscription/oversubscription.hpp"
#include "support/concurrent_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_oversubscription<bench::ConcurrentPool>("concurrent", bench::Kind::ours);

}  // namespace
