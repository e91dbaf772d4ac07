// SPDX-License-Identifier: MIT
#pragma once

// Who does a process pool's work in the parent: one thread at a time, whichever comes by.

#include <atomic>
#include <concurrent/detail/os/futex.hpp>
#include <cstdint>
#include <thread>

namespace concurrent::futures::detail::process {

/// The right to touch the engine's workers, which the manager thread takes when it must, and
/// threads that submit or wait take when they can: they save the way through the manager.
///
/// Not a lock: nobody but the manager ever waits for it. Whoever cannot have it leaves word, and
/// the one who has it looks once more before it goes. The manager is handed the role by the one who
/// has it, so that no stream of passers-by keeps it out.
///
/// Protocol   enter  E1 CAS state free -> taken                    try_enter
///                   E2 CAS state taken -> wanted, and sleeps on the word
///                   E3 CAS state passed -> taken                  who waited
///            leave  L1 CAS state taken -> free
///                   L2 failing that, it is wanted: store passed; wake
///            word   D1 exchange word = true, then E1              the one who comes by
///                   D2 L1, then load word: true: E1, work, again  the one who leaves
/// Pairings   L1, L2(release) -> E1, E3(acquire): drivers follow each other.
///            All of these are sequentially consistent (Dekker): if E1 after D1 fails, L1 or L2
///            comes later. After L1 the leaver sees the word at D2; after L2 the manager does, when
///            it leaves.
///            D1 -> take_word's exchange, D1 an exchange too, so that the release sequence holds
///            all words since the last was taken: the driver sees what each of them is about.
/// Progress   try_enter and leave are wait-free.
class DriverRole {
 public:
  bool try_enter() noexcept {
    std::uint32_t expected = free;
    if (!state_.compare_exchange_strong(expected, taken, std::memory_order_seq_cst)) {  // E1
      return false;
    }
    note_driver();
    return true;
  }
  /// By the manager alone.
  void enter() noexcept {
    while (!try_enter()) {
      std::uint32_t seen = passed;
      if (state_.compare_exchange_strong(seen, taken, std::memory_order_seq_cst)) break;  // E3
      if (seen == taken &&
          !state_.compare_exchange_strong(seen, wanted, std::memory_order_seq_cst)) {  // E2
        continue;
      }
      concurrent::detail::os::futex_wait(state_, wanted);
    }
    note_driver();
  }
  void leave() noexcept {
    driver_.store({}, std::memory_order_relaxed);  // only this thread compares equal with it
    std::uint32_t expected = taken;
    if (state_.compare_exchange_strong(expected, free, std::memory_order_seq_cst)) return;  // L1
    state_.store(passed, std::memory_order_seq_cst);                                        // L2
    concurrent::detail::os::futex_wake_one(state_);
  }
  /// With the role: whether the manager waits for it.
  [[nodiscard]] bool is_wanted() const noexcept {
    return state_.load(std::memory_order_relaxed) == wanted;
  }
  /// True in the thread that has the role.
  [[nodiscard]] bool mine() const noexcept {
    return driver_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  /// An exchange: who takes the word acquires what everybody did who left one since the last.
  void leave_word() noexcept { word_.exchange(true, std::memory_order_seq_cst); }  // D1
  [[nodiscard]] bool has_word() const noexcept {
    return word_.load(std::memory_order_seq_cst);  // D2
  }
  /// With the role, before the work that the word asks for.
  void take_word() noexcept {
    // relaxed load: a word that comes later is seen at D2. The exchange is acquire: see the work.
    if (word_.load(std::memory_order_relaxed)) word_.exchange(false, std::memory_order_seq_cst);
  }

 private:
  static constexpr std::uint32_t free = 0;
  static constexpr std::uint32_t taken = 1;
  static constexpr std::uint32_t wanted = 2;  // taken, and the manager sleeps for it
  static constexpr std::uint32_t passed = 3;  // the manager's, which has not woken up yet

  void note_driver() noexcept {
    driver_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }

  std::atomic<std::uint32_t> state_{free};
  std::atomic<bool> word_{false};
  std::atomic<std::thread::id> driver_{};
};

}  // namespace concurrent::futures::detail::process
