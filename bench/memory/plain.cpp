// SPDX-License-Identifier: MIT

#include "memory/memory.hpp"
#include "support/plain_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_memory<bench::PlainPool>("std::thread + mutex queue", bench::Kind::peer);

}  // namespace
