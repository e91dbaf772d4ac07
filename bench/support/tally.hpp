// SPDX-License-Identifier: MIT
#pragma once

// Counts executed tasks without a shared cache line, so that the count costs a nanosecond and says
// nothing about the pool that is measured.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace bench {

struct alignas(64) TallySlot {
  std::atomic<std::uint64_t> count{0};  // one writer, so a relaxed load and store will do
};

inline std::array<TallySlot, 8192> tally_slots;
inline std::atomic<std::size_t> tally_slots_used{0};
inline constinit thread_local TallySlot* tally_slot = nullptr;

inline void claim_tally_slot() {
  const auto index = tally_slots_used.fetch_add(1, std::memory_order_relaxed);
  if (index >= tally_slots.size()) {
    std::fputs("tally: too many threads\n", stderr);
    std::abort();
  }
  tally_slot = &tally_slots[index];
}

/// Counts one, in the slot of the calling thread.
inline void tally() {
  if (tally_slot == nullptr) claim_tally_slot();
  auto& count = tally_slot->count;
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

inline std::uint64_t tallied() {
  std::uint64_t sum = 0;
  for (const auto& slot : tally_slots) sum += slot.count.load(std::memory_order_relaxed);
  return sum;
}

/// Waits, for pools that cannot be asked, until `total` have been counted.
inline void wait_until_tallied(std::uint64_t total) {
  while (tallied() < total) std::this_thread::sleep_for(std::chrono::microseconds(20));
}

}  // namespace bench
