// SPDX-License-Identifier: MIT
#pragma once

// What executors do with more tasks than they may queue. Nothing in Python, whose queues have no
// bound.

namespace concurrent::futures {

/// What submit does when an executor with `.max_pending` is full.
enum class WhenFull {
  block,          ///< wait until there is room
  throw_error,    ///< throw QueueFullError
  run_in_caller,  ///< run the task at once, in the thread (and process) that submits it
};

}  // namespace concurrent::futures
