// SPDX-License-Identifier: MIT
#pragma once

// The pool's queue for what comes from outside: first in, first out, any number of producers and
// consumers, unbounded, closed once.

#include <atomic>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/spin_lock.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

/// Pointers in segments, with one lock for producers and one for consumers (Michael and Scott's
/// two-lock queue, with segments for nodes), so that the two sides meet only at `tail_` and at the
/// newest items, whose copies lie beside it: a consumer that keeps up fetches one cache line for an
/// item instead of two (bench/round_trip).
///
/// Protocol   push  Q1 lock producers; write the slot; Q8 store a copy at index % newest_count; Q2
///                  store tail_ = index + 1; unlock
///            again Q6 CAS an emptied segment onto spare_; Q7 exchange spare_ -> null
///            pop   Q3 load tail_; equal to head_: empty; lock consumers; if all that are known are
///                  taken: Q4 load tail_ again, Q9 load the copy, Q10 load tail_ once more. The
///                  copy is good if tail_ - index < newest_count; if it is not, or if known ones
///                  were left, read the slot. Q5 store head_; unlock
/// Pairings   Q2 -> Q4(acquire): the consumer sees the slot, its copy or a later one, and a new
///            segment's link. Q2 is sequentially consistent, for the pool's sleep protocol.
///            Q8(release) -> Q9(acquire): who reads item i + newest_count, or one behind it, in
///            the place of item i sees at Q10 a tail_ of i + newest_count at least, which the push
///            before has stored.
///            Q6(release) -> Q7(acquire): the producer sees the links. Segments are kept for the
///            next burst: fresh memory costs more than the queue itself.
/// ABA        both counters only grow; a copy is judged by tail_ and never by what it points to;
///            spare_ is only ever taken whole.
/// Progress   blocking, for a few instructions (and one allocation in SegmentSize pushes).
///
/// The segments' members are Plain<M> instead of M, so that a test can watch them for races.
template <class T, std::size_t SegmentSize = 1024,
          template <class Member> class Plain = std::type_identity_t>
class TaskQueue {
 public:
  enum class Push { done, full, closed };
  static constexpr std::size_t unbounded = (std::numeric_limits<std::size_t>::max)();

  TaskQueue() : head_segment_(new Segment), tail_segment_(head_segment_) {}
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;
  ~TaskQueue() {
    destroy(head_segment_);
    destroy(mine_);
    destroy(spare_.load(std::memory_order_relaxed));  // alone with it
  }

  /// Appends, unless the queue is closed or holds `limit` items. Strong exception guarantee.
  Push push(T* item, std::size_t limit = unbounded) {
    const std::scoped_lock lock(producers_);  // Q1
    if (closed_) return Push::closed;
    if (limit != unbounded && size() >= limit) return Push::full;
    append(item);
    return Push::done;
  }
  /// Appends although the queue may be closed: for what was accepted before.
  void push_accepted(T* item) {
    const std::scoped_lock lock(producers_);  // Q1
    append(item);
  }

  /// The oldest item, or null.
  T* pop() noexcept {
    if (looks_empty() && empty()) return nullptr;  // Q3
    const std::scoped_lock lock(consumers_);
    const std::uint64_t index = head_.load(std::memory_order_relaxed);  // written under this lock
    std::uint64_t known = known_tail_.load(std::memory_order_relaxed);  // written under this lock
    T* copy = nullptr;
    bool is_copied = false;
    if (index == known) {
      known = tail_.load(std::memory_order_acquire);  // Q4
      if (index == known) return nullptr;
      known_tail_.store(known, std::memory_order_relaxed);  // only a hint outside the lock
      is_copied = copy_of(index, known, copy);
    }
    if (index != 0 && index % SegmentSize == 0) {
      recycle(std::exchange(head_segment_, head_segment_->next));
    }
    Plain<T*>* const slot = &head_segment_->items[index % SegmentSize];
    // The items were written by other cores; those after the next one arrive while it runs.
    if (known - index > 2 && index % SegmentSize + 2 < SegmentSize) __builtin_prefetch(slot[2], 1);
    // Q5 relaxed: the lock orders consumers, and everyone else only counts or compares
    head_.store(index + 1, std::memory_order_relaxed);
    return is_copied ? copy : *slot;
  }

  /// No push succeeds afterwards.
  void close() noexcept {
    const std::scoped_lock lock(producers_);
    closed_ = true;
  }

  /// Whether it is empty as far as consumers know; does not touch what producers write.
  [[nodiscard]] bool looks_empty() const noexcept {
    return head_.load(std::memory_order_relaxed) >= known_tail_.load(std::memory_order_relaxed);
  }
  /// Q3 seq_cst: the last look of a worker before it sleeps, against Q2
  [[nodiscard]] bool empty() const noexcept {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_seq_cst);
  }
  /// Exact for producers under their lock, an estimate otherwise.
  [[nodiscard]] std::size_t size() const noexcept {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    return static_cast<std::size_t>(tail_.load(std::memory_order_relaxed) - head);
  }
  /// How many items were ever pushed and popped. Relaxed: used to compare ages only.
  [[nodiscard]] std::uint64_t pushed() const noexcept {
    return tail_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t popped() const noexcept {
    return head_.load(std::memory_order_relaxed);
  }

 private:
  // Fewer in tests with short segments, so that places are used again there.
  static constexpr std::size_t newest_count = SegmentSize < 4 ? 2 : 4;

  struct Segment {
    Plain<Segment*> next{nullptr};
    Plain<T*> items[SegmentSize];
  };

  /// Whether the item at `index` still lies beside tail_, which was `tail` just now.
  bool copy_of(std::uint64_t index, std::uint64_t tail, T*& copy) const noexcept {
    if (tail - index >= newest_count) return false;
    copy = newest_[index % newest_count].load(std::memory_order_acquire);  // Q9
    // Q10 relaxed: Q9 orders it
    return tail_.load(std::memory_order_relaxed) - index < newest_count;
  }
  void append(T* item) {
    const std::uint64_t index = tail_.load(std::memory_order_relaxed);  // written under this lock
    if (index != 0 && index % SegmentSize == 0) append_segment();
    tail_segment_->items[index % SegmentSize] = item;
    newest_[index % newest_count].store(item, std::memory_order_release);  // Q8
    tail_.store(index + 1, std::memory_order_seq_cst);                     // Q2
  }
  [[gnu::cold, gnu::noinline]] void append_segment() {
    if (mine_ == nullptr) {
      mine_ = spare_.exchange(nullptr, std::memory_order_acquire);  // Q7
      if (mine_ == nullptr) mine_ = new Segment;
    }
    Segment* const segment = std::exchange(mine_, mine_->next);
    segment->next = nullptr;
    tail_segment_ = tail_segment_->next = segment;
  }
  [[gnu::cold, gnu::noinline]] void recycle(Segment* segment) noexcept {
    Segment* others = spare_.load(std::memory_order_relaxed);  // Q6 compares it
    do {
      segment->next = others;
      // Q6 release: for the link
    } while (!spare_.compare_exchange_weak(others, segment, std::memory_order_release,
                                           std::memory_order_relaxed));
  }
  static void destroy(Segment* segment) noexcept {
    while (segment != nullptr) delete std::exchange(segment, segment->next);
  }

  alignas(64) SpinLock producers_;
  bool closed_ = false;  // guarded by producers_
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::atomic<T*> newest_[newest_count]{};  // the last items, beside the count of them
  alignas(64) SpinLock consumers_;
  std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> known_tail_{0};  // tail_ when a consumer last looked
  Segment* head_segment_;                     // guarded by consumers_
  alignas(64) Segment* tail_segment_;         // guarded by producers_
  Segment* mine_ = nullptr;                   // guarded by producers_: segments to use again
  alignas(64) std::atomic<Segment*> spare_{nullptr};  // segments that consumers have emptied
};

}  // namespace concurrent::futures::detail
