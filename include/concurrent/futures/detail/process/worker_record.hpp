// SPDX-License-Identifier: MIT
#pragma once

// What a pool knows of one of its workers.

#include <sys/types.h>

#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/futures/detail/process/channel.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <cstddef>
#include <string>

namespace concurrent::futures::detail::process {

/// One worker, from the fork server's word that it has started to its word that it has ended.
///
///   starting -> idle <-> busy -> retiring      the way of a worker that has done its share
///       any of them -> lost                    its channel has closed; its end is to be heard of
struct WorkerRecord {
  enum class State {
    starting,  // runs its initializer
    idle,
    busy,      // has `task`
    retiring,  // has done max_tasks_per_child tasks and ends by itself
    lost,
  };

  pid_t pid = 0;
  os::Descriptor process;  // a pidfd
  PoolChannel channel;
  State state = State::starting;
  bool waits_for_write = false;
  std::size_t tasks = 0;
  PoolTaskPtr task;
  Deadline deadline;  // of the task's timeout
  bool timed_out = false;
  Deadline patience;      // how long to wait for the fork server's word once it is lost
  std::string complaint;  // why the pool itself killed it, if it did
};

}  // namespace concurrent::futures::detail::process
