// SPDX-License-Identifier: MIT
#pragma once

// How worker processes come into being. Counterpart: multiprocessing.set_start_method.

namespace concurrent::multiprocessing {

/// `fork`: workers are copies of the program and see everything it had when the pool was made.
/// `spawn`: the program is started anew, and workers see nothing but what static initialisation
/// makes. It needs freeze_support, which main calls first.
enum class StartMethod { fork, spawn };

}  // namespace concurrent::multiprocessing
