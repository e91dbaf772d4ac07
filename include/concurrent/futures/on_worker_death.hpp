// SPDX-License-Identifier: MIT
#pragma once

// What a process pool does when a worker dies. Python's breaks always.

namespace concurrent::futures {

/// What becomes of a process pool when a worker dies that nobody has told to end.
enum class OnWorkerDeath {
  /// Every unfinished future gets BrokenProcessPool, and the pool takes no more tasks. As in
  /// Python.
  break_pool,
  /// The task that it ran gets WorkerDied, or is run again (TaskOptions::max_retries); a fresh
  /// worker takes its place. Workers that die again and again before they are ready (in the
  /// initializer, say) break the pool still.
  restart,
};

}  // namespace concurrent::futures
