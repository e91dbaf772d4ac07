// SPDX-License-Identifier: MIT

#include "oversubscription/oversubscription.hpp"
#include "support/plain_pool.hpp"

namespace {

[[maybe_unused]] const bool added =
    bench::add_oversubscription<bench::PlainPool>("std::thread + mutex queue", bench::Kind::peer);

}  // namespace
