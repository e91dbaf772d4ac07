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
#include <utility>

namespace concurrent::futures::detail {

/// Pointers in segments, with one lock for producers and one for consumers (Michael and Scott's
/// two-lock queue, with segments for nodes), so that the two sides meet only at `tail_`.
///
/// Protocol   push  Q1 lock producers; write the slot; Q2 store tail_ = index + 1; unlock
///            pop   Q3 load tail_; equal to head_: empty; lock consumers; Q4 load tail_ again; read
///                  the slot; Q5 store head_; unlock
/// Pairings   Q2 -> Q4(acquire): the consumer sees the slot, and a new segment's link.
///            Q2 is sequentially consistent, for the pool's sleep protocol.
/// ABA        both counters only grow.
/// Progress   blocking, for a few instructions (and one allocation in SegmentSize pushes).
template <class T, std::size_t SegmentSize = 1024>
class TaskQueue {
 public:
  enum class Push { done, full, closed };
  static constexpr std::size_t unbounded = (std::numeric_limits<std::size_t>::max)();

  TaskQueue() : head_segment_(new Segment), tail_segment_(head_segment_) {}
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;
  ~TaskQueue() {
    while (head_segment_ != nullptr) delete std::exchange(head_segment_, head_segment_->next);
    delete spare_.load(std::memory_order_relaxed);  // alone with it
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
    if (empty()) return nullptr;  // Q3
    const std::scoped_lock lock(consumers_);
    const std::uint64_t index = head_.load(std::memory_order_relaxed);   // written under this lock
    if (index == tail_.load(std::memory_order_acquire)) return nullptr;  // Q4
    if (index != 0 && index % SegmentSize == 0) {
      recycle(std::exchange(head_segment_, head_segment_->next));
    }
    T* const item = head_segment_->items[index % SegmentSize];
    // Q5 release: pairs with head() of a worker that compares tickets
    head_.store(index + 1, std::memory_order_release);
    return item;
  }

  /// No push succeeds afterwards.
  void close() noexcept {
    const std::scoped_lock lock(producers_);
    closed_ = true;
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
  struct Segment {
    Segment* next = nullptr;
    T* items[SegmentSize];
  };

  void append(T* item) {
    const std::uint64_t index = tail_.load(std::memory_order_relaxed);  // written under this lock
    if (index != 0 && index % SegmentSize == 0) {
      // acquire: pairs with recycle
      Segment* segment = spare_.exchange(nullptr, std::memory_order_acquire);
      if (segment == nullptr) segment = new Segment;
      segment->next = nullptr;
      tail_segment_ = tail_segment_->next = segment;
    }
    tail_segment_->items[index % SegmentSize] = item;
    tail_.store(index + 1, std::memory_order_seq_cst);  // Q2
  }
  void recycle(Segment* segment) noexcept {
    // acq_rel: release for append's exchange; acquire as the older spare is deleted
    delete spare_.exchange(segment, std::memory_order_acq_rel);
  }

  alignas(64) SpinLock producers_;
  bool closed_ = false;  // guarded by producers_
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) SpinLock consumers_;
  std::atomic<std::uint64_t> head_{0};
  Segment* head_segment_;                 // guarded by consumers_
  alignas(64) Segment* tail_segment_;     // guarded by producers_
  std::atomic<Segment*> spare_{nullptr};  // one segment, kept for the next that is needed
};

}  // namespace concurrent::futures::detail
