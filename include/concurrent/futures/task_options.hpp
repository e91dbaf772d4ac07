// SPDX-License-Identifier: MIT
#pragma once

// What can be said of a single task when it is submitted. Python has no counterpart.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/timeout.hpp>
#include <cstddef>
#include <string>

namespace concurrent::futures {

/// Options of one task: `executor.submit(TaskOptions{.name = "thumbnail", .priority = 1}, fn, x)`.
struct TaskOptions {
  /// Shown by errors that speak of the task.
  std::string name{};
  /// Higher ones start first, equal ones in the order of submission. Tasks submitted without
  /// options have 0.
  int priority = 0;
  /// The task does not start earlier than this long after submit.
  std::chrono::nanoseconds delay{0};
  /// The task does not start earlier than this. With `.delay` too, the later one counts.
  std::chrono::steady_clock::time_point start_at{};
  /// ProcessPoolExecutor: the worker is killed when the task runs for longer than this, and the
  /// future throws TimeoutError. A thread cannot be killed: ThreadPoolExecutor refuses it.
  Timeout timeout{};
  /// ProcessPoolExecutor with OnWorkerDeath::restart: how often the task is run again when a worker
  /// dies of it; for tasks that may run twice. ThreadPoolExecutor refuses it.
  std::size_t max_retries = 0;
};

}  // namespace concurrent::futures
