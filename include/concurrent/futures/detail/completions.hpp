// SPDX-License-Identifier: MIT
#pragma once

// One waiter that many futures notify once each: what as_completed and wait stand on, so that n
// futures cost O(n) and not O(n) an event.

#include <atomic>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/detail/os/huge_pages.hpp>
#include <concurrent/detail/os/spin_wait.hpp>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/helper.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <cstddef>
#include <utility>

namespace concurrent::futures::detail {

/// The completions of a set of states, in the order in which they come in.
///
/// Protocol   complete  P1 CAS completed_ -> &entry       any thread, in fire()
///                      P2 load sleeping_; if 1: exchange -> 0, wake
///            take      P3 exchange completed_ -> null    the consumer
///            sleep     P4 store sleeping_ = 1, P5 load completed_, sleep on sleeping_ itself
/// Pairings   P1(release) -> P3(acquire): the consumer sees the entry and the outcome behind it.
///            P1/P2 and P4/P5 are sequentially consistent, as in Dekker's algorithm: either P5 sees
///            the entry or P2 sees the sleeper.
/// ABA        the stack is only ever taken whole, so a recurring head is the same stack.
/// Progress   complete is lock-free, take is wait-free.
/// Lifetime   counted: one reference for the consumer and one for each entry that still hangs on a
///            state, since a state may be firing an entry while the consumer lets go.
class Completions {
 public:
  /// Makes room for `count` states; add() fills it.
  static Completions* make(std::size_t count) { return new Completions(count); }

  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// Takes over a reference to a state. A state that is done already counts as completed now.
  /// @pre next() was not called yet
  void add(StateBase* state) noexcept;
  /// The next completed state, its reference handed over. Null: the deadline passed, or no state is
  /// left. In a worker, runs what the set waits for before it sleeps.
  StateBase* next(Deadline deadline) noexcept;
  /// States that next() has not yet given.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  /// The consumer is done with it: takes back all that still hangs, drops all references.
  void close() noexcept;

 private:
  class Entry final : public Continuation {
   public:
    inline void fire(StateBase& source) noexcept override;
    [[nodiscard]] Kind kind() const noexcept override { return Kind::waiter; }

    Completions* owner = nullptr;

    // The first touch of so much memory costs as much as all else.
    static void* operator new[](std::size_t size) {
      void* const entries = ::operator new(size);
      concurrent::detail::os::advise_huge_pages(entries, size);
      return entries;
    }
    static void operator delete[](void* entries) noexcept { ::operator delete(entries); }

   private:
    friend class Completions;
    StateBase*& state() noexcept { return source_; }
    [[nodiscard]] Entry* next() const noexcept { return static_cast<Entry*>(next_); }
    void set_next(Entry* entry) noexcept { next_ = entry; }
  };

  explicit Completions(std::size_t count) : entries_(new Entry[count]) {}
  ~Completions() = default;

  void complete(Entry& entry) noexcept;
  StateBase* pop() noexcept;
  bool help() noexcept;
  void sleep(Deadline deadline) noexcept;
  void release() noexcept;

  std::unique_ptr<Entry[]> entries_;
  std::size_t added_ = 0;        // the consumer's
  std::size_t left_ = 0;         // the consumer's
  std::size_t helped_ = 0;       // the consumer's: entries before it were offered to the helper
  bool more_later_ = false;      // the consumer's: some of these may be worth another offer
  Entry* ready_ = nullptr;       // the consumer's: taken, oldest first
  Entry* last_ready_ = nullptr;  // the consumer's, while it adds
  std::atomic<Entry*> completed_{nullptr};
  std::atomic<std::uint32_t> sleeping_{0};
  std::atomic<std::size_t> references_{1};
};

// Implementation

inline void Completions::add(StateBase* state) noexcept {
  Entry& entry = entries_[added_++];
  ++left_;
  entry.owner = this;
  entry.state() = state;
  if (state->done()) {  // nobody else will have the entry
    entry.set_next(nullptr);
    if (ready_ == nullptr) {
      ready_ = &entry;
    } else {
      last_ready_->set_next(&entry);
    }
    last_ready_ = &entry;
    return;
  }
  // relaxed: the state's list hands the entry over (its C2)
  references_.fetch_add(1, std::memory_order_relaxed);
  if (!state->add(entry)) entry.fire(*state);
}

inline void Completions::Entry::fire(StateBase&) noexcept {
  Completions& completions = *owner;
  completions.complete(*this);
  completions.release();
}

inline void Completions::complete(Entry& entry) noexcept {
  Entry* head = completed_.load(std::memory_order_relaxed);  // P1 compares it
  do {
    entry.set_next(head);
    // P1 seq_cst: release for P3, and ordered before P2
  } while (!completed_.compare_exchange_weak(head, &entry, std::memory_order_seq_cst,
                                             std::memory_order_relaxed));
  // P2 seq_cst: ordered after P1; the exchange makes one completer wake, relaxed as it carries none
  if (sleeping_.load(std::memory_order_seq_cst) != 0 &&
      sleeping_.exchange(0, std::memory_order_relaxed) != 0) {
    concurrent::detail::os::futex_wake_one(sleeping_);
  }
}

inline StateBase* Completions::pop() noexcept {
  if (ready_ == nullptr) {
    // P3 acquire: pairs with P1
    Entry* newest = completed_.exchange(nullptr, std::memory_order_acquire);
    while (newest != nullptr) {
      Entry* const entry = std::exchange(newest, newest->next());
      entry->set_next(ready_);
      ready_ = entry;
    }
  }
  if (ready_ == nullptr) return nullptr;
  Entry* const entry = std::exchange(ready_, ready_->next());
  --left_;
  return std::exchange(entry->state(), nullptr);
}

inline bool Completions::help() noexcept {
  if (current_helper == nullptr) return false;
  for (; helped_ < added_; ++helped_) {
    StateBase* const state = entries_[helped_].state();
    if (state == nullptr || state->done()) continue;
    const Help help = current_helper->run_one_for(*state);
    if (help == Help::ran) return true;
    if (help == Help::later) more_later_ = true;
  }
  return false;
}

inline void Completions::sleep(Deadline deadline) noexcept {
  if (SpinWait::is_of_use()) {
    SpinWait wait(SpinWait::FirstYield::soon);
    do {
      if (completed_.load(std::memory_order_relaxed) != nullptr) return;  // pop() acquires
    } while (wait.turn());
  }
  sleeping_.store(1, std::memory_order_seq_cst);                // P4, ordered before P5
  if (completed_.load(std::memory_order_seq_cst) == nullptr) {  // P5
    const bool may_help = current_helper != nullptr && more_later_;
    if (may_help) {
      current_helper->block_on(sleeping_);
      deadline = current_helper->wake_by(deadline);
      helped_ = 0;
    }
    if (!may_help || !help()) concurrent::detail::os::futex_wait(sleeping_, 1, deadline);
    if (may_help) current_helper->unblock();
  }
  sleeping_.store(0, std::memory_order_relaxed);  // a completer that still sees 1 wakes nobody
}

inline StateBase* Completions::next(Deadline deadline) noexcept {
  while (left_ != 0) {
    if (StateBase* const state = pop(); state != nullptr) return state;
    if (help()) continue;
    if (deadline.passed()) return pop();
    sleep(deadline);
  }
  return nullptr;
}

inline void Completions::close() noexcept {
  while (StateBase* const state = pop()) state->release();
  for (std::size_t i = 0; i < added_ && left_ != 0; ++i) {
    StateBase* const state = entries_[i].state();
    if (state == nullptr) continue;
    if (state->remove(entries_[i])) {
      --left_;
      entries_[i].state() = nullptr;
      state->release();
      // the entry's; not the last, the consumer's is left, so nothing to order or delete
      references_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  // What could not be taken back is just being fired: the entry follows at once.
  while (left_ != 0) {
    if (StateBase* const state = pop(); state != nullptr) {
      state->release();
    } else {
      sleep({});
    }
  }
  release();  // the consumer's
}

inline void Completions::release() noexcept {
  // acq_rel: the last one sees what the others did with the entries
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace concurrent::futures::detail
