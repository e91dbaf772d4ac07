// SPDX-License-Identifier: MIT
#pragma once

// What a worker process may use. Nothing in Python, where initializers call the resource module.

#include <chrono>
#include <cstdint>
#include <optional>

namespace concurrent::futures {

/// Limits that each worker of a process pool gets before its initializer runs, and hands on to what
/// its tasks start. Without a value a worker has the limits of the program.
///
/// A limit that the system refuses (it cannot be above a hard limit that there is) makes the
/// initializer fail: BrokenProcessPool.
struct WorkerLimits {
  /// Bytes of address space, of which the program itself has some already. More memory than that is
  /// std::bad_alloc in the task.
  std::optional<std::uint64_t> address_space{};
  /// CPU time of the worker, over all its tasks, in whole seconds; a worker that uses more is
  /// killed by SIGXCPU. Together with max_tasks_per_child it bounds single tasks.
  std::optional<std::chrono::seconds> cpu_time{};
  /// The highest number of open files, those of the program included.
  std::optional<std::uint64_t> open_files{};
  /// Added to the niceness of the program: 19 runs when nothing else wants to.
  int nice = 0;
  /// Whether a crash may leave a core file.
  bool core_dumps = true;
};

}  // namespace concurrent::futures
