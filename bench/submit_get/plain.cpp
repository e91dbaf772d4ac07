// SPDX-License-Identifier: MIT

#include "submit_get/submit_get.hpp"
#include "support/plain_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_submit_get<bench::PlainPool>("std::thread + mutex queue", bench::Kind::peer);

}  // namespace
