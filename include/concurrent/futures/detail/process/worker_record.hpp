// SPDX-License-Identifier: MIT
#pragma once

// What a pool knows of one of its workers.

#include <sys/types.h>

#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/futures/detail/process/channel.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace concurrent::futures::detail::process {

/// One worker, from the fork server's word that it has started to its word that it has ended.
///
///   starting -> idle <-> busy -> retiring      the way of a worker that has done its share
///       any of them -> lost                    its channel has closed; its end is to be heard of
struct WorkerRecord {
  enum class State {
    starting,  // runs its initializer
    idle,
    busy,      // has `tasks`
    retiring,  // has done max_tasks_per_child tasks and ends by itself
    lost,
  };

  /// A task that it has, or that waits in its ring behind one.
  struct Handed {
    PoolTaskPtr task;
    std::uint64_t ticket = 0;
    bool revocable = false;  // it was put behind another; false once it is known to be begun
  };

  pid_t pid = 0;
  std::uint64_t key = 0;   // the engine's name for it
  os::Descriptor process;  // a pidfd
  PoolChannel channel;
  AreaLease results;  // where it may write large ones
  // What the tasks refer to that it was running when the pool broke: it may still write there.
  std::vector<std::unique_ptr<ByteBuffer::Kept>> kept;
  State state = State::starting;
  bool ready = false;  // its initializer has run
  bool waits_for_write = false;
  std::size_t tasks_begun = 0;  // those in `tasks` included
  std::deque<Handed> tasks;     // changed under the engine's mutex too
  std::uint64_t next_ticket = 1;
  Deadline deadline;      // of the timeout of its only task
  bool fetching = false;  // its results are just being fetched
  bool corrupt = false;   // it sent something that is no message: nothing from it counts any more
  bool left = false;      // its next result is for the manager, which was called
  bool alone = false;     // nothing may be put behind the task that it has
  // How fast it is, which decides how many tasks it may have at a time.
  std::size_t depth = 1;
  static constexpr Deadline::Clock::time_point unknown{};
  Deadline::Clock::time_point progress = unknown;  // when it began, or a result came
  /// Why the pool has killed it, which is no reason to break.
  enum class Doom { none, timeout, cancelled } doom = Doom::none;
  Deadline patience;      // how long to wait for the fork server's word once it is lost
  std::string complaint;  // why the pool itself killed it, if it did

  /// Whether anybody may fetch a result from its ring now.
  [[nodiscard]] bool has_news() noexcept {
    return channel && !left && !corrupt && !fetching && channel.results().has_more();
  }
};

}  // namespace concurrent::futures::detail::process
