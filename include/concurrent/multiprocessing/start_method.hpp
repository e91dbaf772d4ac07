// SPDX-License-Identifier: MIT
#pragma once

// How worker processes come into being. Counterpart: multiprocessing.set_start_method.

namespace concurrent::multiprocessing {

/// `fork`: workers are copies of the program and see everything it had when the pool was made.
enum class StartMethod { fork };

}  // namespace concurrent::multiprocessing
