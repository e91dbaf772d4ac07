// SPDX-License-Identifier: MIT
#pragma once

// Gates that tasks wait at, so that a test decides when they go on, and no test sleeps.

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>

namespace support {

/// Closed until opened, at the latest when it leaves its scope. Declare it after the pool whose
/// tasks wait at it: then a failed assertion does not leave the pool's destructor waiting for ever.
class Gate {
 public:
  /// Waits at the gate when called. Outlives the gate, and may be copied into tasks.
  class Waiter {
   public:
    void operator()() const { open_->wait(0); }

   private:
    friend class Gate;
    std::shared_ptr<std::atomic<int>> open_ = std::make_shared<std::atomic<int>>(0);
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { open(); }

  void open() const {
    waiter_.open_->store(1);
    waiter_.open_->notify_all();
  }
  [[nodiscard]] Waiter waiter() const { return waiter_; }

 private:
  Waiter waiter_;
};

/// Keeps workers of a pool busy, from its construction until `release` or the end of its scope.
template <class Pool>
class Occupied {
 public:
  explicit Occupied(Pool& pool, std::size_t workers = 1) {
    const auto begun = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(workers));
    for (std::size_t i = 0; i < workers; ++i) {
      pool.post([begun, at_gate = gate_.waiter()] {
        begun->count_down();
        at_gate();
      });
    }
    begun->wait();
  }

  void release() const { gate_.open(); }

 private:
  Gate gate_;
};

}  // namespace support
