// SPDX-License-Identifier: MIT
#pragma once

// Whether an executor is still there: what a lazy map that may outlive it holds on to.

#include <atomic>
#include <cstddef>

namespace concurrent::futures::detail {

/// Counted by intrusive references (StateRef). relaxed throughout: that the executor's end and the
/// next step of the iteration are in some order is the program's business; acq_rel at the last one.
class Lifeline {
 public:
  void cut() noexcept { alive_.store(false, std::memory_order_relaxed); }
  [[nodiscard]] bool alive() const noexcept { return alive_.load(std::memory_order_relaxed); }

  void add_reference() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  std::atomic<std::size_t> owners_{1};
  std::atomic<bool> alive_{true};
};

}  // namespace concurrent::futures::detail
