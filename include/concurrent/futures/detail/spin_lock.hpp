// SPDX-License-Identifier: MIT
#pragma once

// A lock for critical sections of a few instructions on the submit path, where std::mutex costs two
// read-modify-writes and two calls (bench/submit_get).

#include <atomic>
#include <concurrent/detail/os/cpu.hpp>
#include <thread>

namespace concurrent::futures::detail {

/// BasicLockable. Whoever waits spins briefly, then yields, so that a holder that lost its
/// processor gets it back.
///
/// Protocol   lock    L1 exchange locked_ -> true, until it was false
///            unlock  L2 store false
/// Pairings   L2(release) -> L1(acquire): the next holder sees what the one before did.
/// Progress   blocking; no fairness. No user code ever runs while it is held.
class SpinLock {
 public:
  void lock() noexcept {
    if (!locked_.exchange(true, std::memory_order_acquire)) return;  // L1
    contend();
  }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }  // L2

 private:
  [[gnu::cold, gnu::noinline]] void contend() noexcept {
    for (int turn = 0;; ++turn) {
      // relaxed: only L1 takes the lock
      if (!locked_.load(std::memory_order_relaxed) &&
          !locked_.exchange(true, std::memory_order_acquire)) {  // L1
        return;
      }
      if (turn < 30) {
        concurrent::detail::os::cpu_relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

  std::atomic<bool> locked_{false};
};

}  // namespace concurrent::futures::detail
