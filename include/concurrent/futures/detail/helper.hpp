// SPDX-License-Identifier: MIT
#pragma once

// How a thread that waits for a future can do something useful first: a worker runs what it waits
// for. This is the seam between futures, which know no pool, and the pool.

#include <concurrent/futures/detail/state.hpp>

namespace concurrent::futures::detail {

/// What an offer to help came to.
enum class Help {
  ran,      // a task was run
  nothing,  // there is nothing to run: the target runs elsewhere, or is none of this pool's
  later,    // the target will be this pool's to run once something outside has happened
};

/// A worker, as seen by a wait in its thread.
class Helper {
 public:
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  /// Runs one task that `target` needs (itself, or what it depends on), if one can be had.
  /// Runs nothing else.
  virtual Help run_one_for(StateBase& target) noexcept = 0;

  /// Runs what `target` needs, then sleeps until it is done or until the deadline.
  virtual bool wait(StateBase& target, Deadline deadline) noexcept = 0;

  /// From block_on to unblock, the pool sets `word` to 0 and wakes it when a task becomes runnable
  /// that this worker may be waiting for. For waits on several targets that got `later`; to be
  /// followed by another round of run_one_for before sleeping on the word.
  virtual void block_on(std::atomic<std::uint32_t>& word) noexcept = 0;
  virtual void unblock() noexcept = 0;
  /// The deadline, or an earlier time at which a delayed task becomes runnable.
  virtual Deadline wake_by(Deadline deadline) noexcept = 0;

 protected:
  Helper() = default;
  ~Helper() = default;
};

/// The worker whose thread this is, or null.
inline constinit thread_local Helper* current_helper = nullptr;

/// Waits for a state from any thread. True when it is done.
inline bool wait_for(StateBase& state, Deadline deadline) noexcept {
  if (state.done()) return true;
  if (current_helper != nullptr) return current_helper->wait(state, deadline);
  return state.wait(deadline);
}

}  // namespace concurrent::futures::detail
