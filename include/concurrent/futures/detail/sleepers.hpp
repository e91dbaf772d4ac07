// SPDX-License-Identifier: MIT
#pragma once

// Who sleeps and who looks for work: how a push wakes a worker if one is needed, and nobody if not.

#include <atomic>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/detail/os/spin_wait.hpp>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace concurrent::futures::detail {

/// The sleeping workers, last one first, and the number of those that are looking for work.
///
/// While one worker looks, a push wakes nobody: the looker will find the task, and on leaving the
/// search it wakes the next one if there is more. So workers come up one after another, as they are
/// needed, and a burst of a million tasks costs a handful of wake-ups. Who knows that each of its
/// tasks is worth a worker may wake several at once, whoever is looking (ThreadPoolCore::rouse).
///
/// Who searches must come back to the queues by itself: no code of a user's runs meanwhile.
///
/// Protocol   push    Z1 publish the task in a queue; Z2 load searching_, not 0: nothing to do;
///                    Z3 load sleeping_, not 0: wake one
///            search  Z4 searching_ + 1; look into all queues
///            found   Z5 searching_ - 1; if that was the last searcher: look whether there is more,
///                    if so do as push does from Z3
///            sleep   Z6 sit down (sleeping_ + 1); Z7 searching_ - 1; Z8 look into all queues once
///                    more; if there is something: get up, else sleep on the seat's own word
///            wake    Z9 under the mutex: take the last seat, sleeping_ - 1, searching_ + 1;
///                    Z10 store parked = 0, wake the word
/// Proof      All of it is sequentially consistent (publishing at Z1 and looking at Z8 too), so
///            there is one order of it all. A push whose Z2 reads 0 and Z3 reads 0 comes
///            before any later Z6; that sleeper's Z8 comes after Z1 and finds the task. A push
///            whose Z2 reads a searcher comes before that searcher's Z5 or Z7; if Z7, its Z8 finds
///            the task; if Z5 was the last, its look finds the task; if it was not the last, the
///            same holds of the one that is. A push whose Z3 reads a sleeper wakes one, or finds
///            the list empty since another push woke it: then that one searches, and comes after
///            Z1. So a task is never left while all workers sleep.
/// Progress   a push is wait-free unless it wakes somebody.
class Sleepers {
 public:
  struct Seat {
    std::atomic<std::uint32_t> parked{0};
    Seat* below = nullptr;  // guarded by the mutex, as is `seated`
    bool seated = false;
  };

  [[nodiscard]] std::size_t searching() const noexcept {
    return searching_.load(std::memory_order_seq_cst);  // Z2
  }
  [[nodiscard]] std::size_t sleeping() const noexcept {
    return sleeping_.load(std::memory_order_seq_cst);  // Z3
  }
  void begin_search() noexcept { searching_.fetch_add(1, std::memory_order_seq_cst); }  // Z4
  /// True for the last searcher, who has to look whether there is more.
  bool end_search() noexcept {
    return searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;  // Z5, Z7
  }

  /// Z6. The caller is searching, and calls end_search, then looks (Z8), then get_up or sleep.
  [[gnu::cold]] void sit_down(Seat& seat) noexcept {
    seat.parked.store(1, std::memory_order_relaxed);  // the mutex hands it over
    const std::scoped_lock lock(mutex_);
    seat.below = std::exchange(last_, &seat);
    seat.seated = true;
    sleeping_.fetch_add(1, std::memory_order_seq_cst);
  }

  /// Leaves the seat. Afterwards the caller is searching, whether it got up or was woken.
  [[gnu::cold]] void get_up(Seat& seat) noexcept {
    {
      const std::scoped_lock lock(mutex_);
      if (seat.seated) {
        Seat** at = &last_;
        while (*at != &seat) at = &(*at)->below;
        *at = seat.below;
        seat.seated = false;
        begin_search();
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
        return;
      }
    }
    // Somebody is just waking this seat and has counted it as searching. If that thread lost its
    // processor meanwhile, spinning would keep it from it.
    while (seat.parked.load(std::memory_order_acquire) != 0) {
      concurrent::detail::os::futex_wait(seat.parked, 1);
    }
  }

  /// Sleeps until woken or until the deadline. Afterwards the caller is searching.
  [[gnu::cold]] void sleep(Seat& seat, concurrent::detail::Deadline deadline) noexcept {
    // acquire: pairs with Z10
    while (seat.parked.load(std::memory_order_acquire) != 0) {
      if (deadline.passed()) {
        get_up(seat);
        return;
      }
      concurrent::detail::os::futex_wait(seat.parked, 1, deadline);
    }
  }

  /// Z9, Z10. False: nobody sleeps.
  [[gnu::noinline]] bool wake_one() noexcept {
    Seat* seat = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (last_ == nullptr) return false;
      seat = std::exchange(last_, last_->below);
      seat->seated = false;
      begin_search();
      sleeping_.fetch_sub(1, std::memory_order_seq_cst);
    }
    seat->parked.store(0, std::memory_order_release);  // Z10, pairs with sleep and get_up
    concurrent::detail::os::futex_wake_one(seat->parked);
    concurrent::detail::os::SpinWait::note_wake_up();
    return true;
  }
  /// Those that sit now, each once: one that sits down again meanwhile has looked meanwhile.
  [[gnu::noinline]] void wake_all() noexcept {
    Seat* seats = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      seats = std::exchange(last_, nullptr);
      for (Seat* seat = seats; seat != nullptr; seat = seat->below) {
        seat->seated = false;
        begin_search();
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
      }
    }
    while (seats != nullptr) {
      Seat* const seat = std::exchange(seats, seats->below);  // the seat is its owner's after Z10
      seat->parked.store(0, std::memory_order_release);       // Z10
      concurrent::detail::os::futex_wake_one(seat->parked);
    }
  }

 private:
  std::mutex mutex_;
  Seat* last_ = nullptr;  // guarded by mutex_
  alignas(64) std::atomic<std::size_t> searching_{0};
  std::atomic<std::size_t> sleeping_{0};
};

}  // namespace concurrent::futures::detail
