// SPDX-License-Identifier: MIT
#pragma once

// A worker's own queue: what its tasks submit. The owner pushes and pops at the bottom, everyone
// (the owner too, when it wants the oldest) takes from the top.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace concurrent::futures::detail {

/// The deque of Chase and Lev (2005), with sequentially consistent operations in place of the
/// fences of Lê, Pop, Cohen and Zappa Nardelli (2013), which ThreadSanitizer does not see. Beside
/// each item stands its ticket: how old it is.
///
/// Protocol   push   D1 write the slot; D2 store bottom_ + 1                     the owner
///            pop    D3 store bottom_ - 1; D4 load top_; if they meet: D5 CAS top_ + 1   the owner
///            take   D11 store bottom_ - n; D12 load top_; if they meet: D13 CAS top_ + 1;
///                   D14 rewrite the slots above; D2 store bottom_               the owner
///            take_newest_until  D11, D12, look at the slots above, D2           the owner
///            steal  D6 load top_; D7 load bottom_; read the slot; D8 CAS top_ + 1       anyone
///            grow   D9 copy into a new ring; D10 store ring_                    the owner
/// Pairings   D2(release) -> D7: the thief sees the slot.
///            D3/D4 and D6/D7 are sequentially consistent: of an owner and a thief that go for the
///            last item at least one sees the other, and the CAS on top_ decides.
///            D11/D12 and D6/D7 likewise: a thief whose D7 came before D11 goes for the top that
///            D12 reads, or its D8 fails; so what lies above that is the owner's alone.
///            D10(release) -> the thief's load of ring_ (acquire): it sees the copied slots.
/// ABA        top_ only grows, so a slot that was overwritten under a thief makes D8 fail.
/// Progress   push and pop are wait-free (but for growing), steal is lock-free.
/// Lifetime   rings that were grown out of are kept until the end, as a thief may still read them.
template <class T>
class WorkDeque {
 public:
  struct Entry {
    T* item = nullptr;
    std::uint64_t ticket = 0;
  };

  explicit WorkDeque(std::size_t capacity = 256) : ring_(new Ring(capacity, nullptr)) {}
  WorkDeque(const WorkDeque&) = delete;
  WorkDeque& operator=(const WorkDeque&) = delete;
  ~WorkDeque() { delete ring_.load(std::memory_order_relaxed); }  // alone with it

  /// The owner only. Strong exception guarantee (std::bad_alloc when it grows).
  void push(Entry entry) {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);  // the owner's
    const std::int64_t top = top_.load(std::memory_order_acquire);        // pairs with D8: room
    Ring* ring = ring_.load(std::memory_order_relaxed);                   // the owner's
    if (bottom - top >= ring->capacity()) ring = grow(*ring, top, bottom);
    ring->put(bottom, entry);  // D1
    // D2 seq_cst: release for D7, and for the pool's sleep protocol
    bottom_.store(bottom + 1, std::memory_order_seq_cst);
  }

  /// Whether `item` looks like the newest; the owner only. A thief may take it meanwhile.
  [[nodiscard]] bool newest_is(const T* item) const noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);  // the owner's
    return bottom > 0 && ring_.load(std::memory_order_relaxed)->item_at(bottom - 1) == item &&
           top_.load(std::memory_order_relaxed) < bottom;
  }
  /// The newest entry; the owner only.
  Entry pop() noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;  // the owner's
    // relaxed: top_ only grows, so an old value makes it look fuller, never emptier
    if (bottom < top_.load(std::memory_order_relaxed)) return {};
    Ring* const ring = ring_.load(std::memory_order_relaxed);
    bottom_.store(bottom, std::memory_order_seq_cst);         // D3
    std::int64_t top = top_.load(std::memory_order_seq_cst);  // D4
    if (top < bottom) return ring->get(bottom);
    Entry entry;
    if (top == bottom) {
      entry = ring->get(bottom);
      // D5 seq_cst: against D8
      if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                        std::memory_order_relaxed)) {
        entry = {};
      }
    }
    // release: a thief that reads this value at D7 must see the slots behind it as by D2, as a
    // plain store of the same thread does not continue D2's release sequence (since C++20)
    bottom_.store(bottom + 1, std::memory_order_release);
    return entry;
  }

  enum class Rest { as_it_was, reversed };

  /// Takes the entry of `item` out, if that is among the `limit` newest and no thief is faster; the
  /// owner only. Those newer than it stay, in their order or reversed. Counts in `looked_at` how
  /// many it compared. While it is at it, also when a thief is faster, thieves and empty() do not
  /// see what is newer.
  bool take(const T* item, std::int64_t limit, Rest rest, std::int64_t& looked_at) noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);  // the owner's
    const std::int64_t oldest = top_.load(std::memory_order_relaxed);     // only ever too small
    const std::int64_t end = bottom - oldest > limit ? bottom - limit : oldest;
    Ring* const ring = ring_.load(std::memory_order_relaxed);
    std::int64_t at = bottom - 1;
    while (at >= end && ring->item_at(at) != item) --at;
    looked_at = bottom - 1 - at;
    if (at < end) return false;
    bottom_.store(at, std::memory_order_seq_cst);             // D11
    std::int64_t top = top_.load(std::memory_order_seq_cst);  // D12
    // D13 seq_cst: against D8
    if (top > at ||
        (top == at && !top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                                    std::memory_order_relaxed))) {
      bottom_.store(bottom, std::memory_order_seq_cst);  // D2
      return false;
    }
    const bool was_oldest = top == at;
    std::int64_t low = at;  // D14: those newer than the item move to here
    std::int64_t high = bottom - 1;
    if (was_oldest) {
      ++low;
    } else if (rest == Rest::reversed) {
      ring->put(low++, ring->get(high--));
    } else {
      for (; low < high; ++low) ring->put(low, ring->get(low + 1));
    }
    for (; rest == Rest::reversed && low < high; ++low, --high) {
      const Entry entry = ring->get(low);
      ring->put(low, ring->get(high));
      ring->put(high, entry);
    }
    bottom_.store(was_oldest ? bottom : bottom - 1, std::memory_order_seq_cst);  // D2
    return true;
  }

  /// Takes out the newest entries, up to the first whose item `stays`, at most `most` of them; the
  /// owner only. Puts their items into `out`, the newest first, and says how many there are. Only
  /// items that are the owner's alone are looked at: the very oldest entry is left to the thieves.
  /// While it is at it, they and empty() do not see the others.
  template <class Stays>
  std::int64_t take_newest_until(Stays stays, T** out, std::int64_t most) noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);  // the owner's
    const std::int64_t oldest = top_.load(std::memory_order_relaxed);     // only ever too small
    const std::int64_t low = bottom - oldest > most ? bottom - most : oldest;
    if (low >= bottom) return 0;
    Ring* const ring = ring_.load(std::memory_order_relaxed);
    bottom_.store(low, std::memory_order_seq_cst);                  // D11
    const std::int64_t top = top_.load(std::memory_order_seq_cst);  // D12
    const std::int64_t end = low > top ? low : top + 1;
    std::int64_t at = bottom;
    for (; at > end; --at) {
      T* const item = ring->item_at(at - 1);
      if (stays(*item)) break;
      out[bottom - at] = item;
    }
    if (at != low) bottom_.store(at, std::memory_order_seq_cst);  // D2
    return bottom - at;
  }

  /// The oldest entry; anyone. Empty also when another thread was faster.
  [[gnu::noinline]] Entry steal() noexcept {
    std::int64_t top = top_.load(std::memory_order_seq_cst);              // D6
    const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);  // D7
    if (top >= bottom) return {};
    const Entry entry = ring_.load(std::memory_order_acquire)->get(top);
    // D8 seq_cst: against D5; release, so that the owner may overwrite the slot
    if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
      return {};
    }
    return entry;
  }

  /// Whether it looks empty. seq_cst as D7: a worker's last look before it sleeps, against D2.
  [[nodiscard]] bool empty() const noexcept {
    const std::int64_t top = top_.load(std::memory_order_seq_cst);
    return top >= bottom_.load(std::memory_order_seq_cst);
  }
  /// How many entries there are at most; the owner only.
  [[nodiscard]] std::int64_t size() const noexcept {
    return bottom_.load(std::memory_order_relaxed) - top_.load(std::memory_order_relaxed);
  }
  /// Turns all entries round, the oldest becoming the newest, unless a thief is faster; the owner
  /// only.
  [[gnu::cold]] void turn_round() noexcept {
    const std::int64_t top = top_.load(std::memory_order_relaxed);  // only ever too small
    const Entry oldest = ring_.load(std::memory_order_relaxed)->get(top);
    std::int64_t looked_at = 0;
    // There is room where it was.
    if (take(oldest.item, size(), Rest::reversed, looked_at)) push(oldest);
  }
  /// The ticket of the oldest entry. The owner only: its slots are not overwritten meanwhile.
  [[nodiscard]] bool oldest_ticket(std::uint64_t& ticket) const noexcept {
    const std::int64_t top = top_.load(std::memory_order_relaxed);
    if (top >= bottom_.load(std::memory_order_relaxed)) return false;
    ticket = ring_.load(std::memory_order_relaxed)->get(top).ticket;
    return true;
  }

 private:
  class Ring {
   public:
    Ring(std::size_t capacity, const Ring* outgrown)
        : mask_(capacity - 1), slots_(new Slot[capacity]), outgrown_(outgrown) {}
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    [[gnu::cold]] ~Ring() {
      delete[] slots_;
      delete outgrown_;
    }
    [[nodiscard]] std::int64_t capacity() const { return static_cast<std::int64_t>(mask_) + 1; }
    // relaxed both: D2, D8 and D10 order them, and a torn pair makes D8 fail
    void put(std::int64_t index, Entry entry) noexcept {
      Slot& slot = slots_[static_cast<std::size_t>(index) & mask_];
      slot.item.store(entry.item, std::memory_order_relaxed);
      slot.ticket.store(entry.ticket, std::memory_order_relaxed);
    }
    [[nodiscard]] T* item_at(std::int64_t index) const noexcept {
      return slots_[static_cast<std::size_t>(index) & mask_].item.load(std::memory_order_relaxed);
    }
    [[nodiscard]] Entry get(std::int64_t index) const noexcept {
      const Slot& slot = slots_[static_cast<std::size_t>(index) & mask_];
      return {slot.item.load(std::memory_order_relaxed),
              slot.ticket.load(std::memory_order_relaxed)};
    }

   private:
    struct Slot {
      std::atomic<T*> item;
      std::atomic<std::uint64_t> ticket;
    };
    std::size_t mask_;
    Slot* slots_;
    const Ring* outgrown_;  // kept as long as this one
  };

  [[gnu::cold, gnu::noinline]] Ring* grow(const Ring& full, std::int64_t top, std::int64_t bottom) {
    auto* const larger = new Ring(2 * static_cast<std::size_t>(full.capacity()), &full);
    for (std::int64_t i = top; i < bottom; ++i) larger->put(i, full.get(i));  // D9
    ring_.store(larger, std::memory_order_release);                           // D10
    return larger;
  }

  alignas(64) std::atomic<std::int64_t> top_{0};
  alignas(64) std::atomic<std::int64_t> bottom_{0};
  std::atomic<Ring*> ring_;
};

}  // namespace concurrent::futures::detail
