// SPDX-License-Identifier: MIT
#pragma once

// The memory that SharedArrays lie in. Counterpart: multiprocessing.heap.

#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/multiprocessing/detail/arena.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

namespace concurrent::multiprocessing::detail {

/// A part of the heap, owned by its handles in the process that has made it.
class SharedBytes {
 public:
  SharedBytes(Arena& arena, BufferSource::Block block) noexcept : arena_(&arena), block_(block) {}
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;
  ~SharedBytes();

  [[nodiscard]] std::span<std::byte> room() const noexcept { return {block_.begin, block_.size}; }

 private:
  Arena* arena_;
  BufferSource::Block block_;
};

/// One for the process that uses it first and for all that it forks afterwards: these have it at
/// the same address, and give nothing away. It is never destroyed.
///
/// **Thread safety** all members.
class SharedHeap {
 public:
  static SharedHeap& instance() {
    static SharedHeap* const heap = new SharedHeap;  // what is static may use it to the very end
    return *heap;
  }

  /// Zeros. @throws std::bad_alloc; std::logic_error in a process that only inherited the heap
  std::shared_ptr<SharedBytes> allocate(std::size_t size);
  /// The owner of what begins there; null if there is none.
  std::shared_ptr<SharedBytes> owner_of(const std::byte* begin);
  void forget(const std::byte* begin) noexcept;

  /// In the process that made it; others have only what they are told of.
  [[nodiscard]] bool is_here() const noexcept { return here_.is_here(); }
  /// @throws std::logic_error where the heap was left
  [[nodiscard]] AreaMessage message_of(std::span<const std::byte> bytes) const {
    if (arena_ == nullptr)
      throw std::logic_error("a worker that shares no memory has no SharedArray");
    return arena_->message_of(bytes);
  }
  /// Empty for what lies outside, or where the heap was left.
  [[nodiscard]] std::span<std::byte> bytes_of(const AreaMessage& area) const noexcept {
    return arena_ != nullptr ? arena_->bytes_of(area) : std::span<std::byte>();
  }
  /// Null where the heap was left, or there is no memory for it.
  [[nodiscard]] const std::byte* base() const noexcept {
    return arena_ != nullptr ? arena_->base() : nullptr;
  }
  /// This process is not to have it: it runs what is not trusted.
  void leave() noexcept { arena_.reset(); }

 private:
  /// 1 TiB, where addresses have 64 bits.
  static constexpr std::size_t largest = std::size_t{1} << (4 * sizeof(std::size_t) + 8);

  SharedHeap() = default;

  concurrent::detail::os::ProcessMark here_;
  std::unique_ptr<Arena> arena_ = std::make_unique<Arena>(largest);  // null: the heap was left
  std::mutex mutex_;
  std::map<const std::byte*, std::weak_ptr<SharedBytes>> parts_;
};

inline SharedBytes::~SharedBytes() {
  SharedHeap& heap = SharedHeap::instance();
  if (!heap.is_here()) return;  // a copy that was forked along: it owns nothing
  heap.forget(block_.begin);
  arena_->give_back(block_);
}

inline std::shared_ptr<SharedBytes> SharedHeap::allocate(std::size_t size) {
  if (!is_here()) {
    throw std::logic_error(
        "a SharedArray cannot be made in a worker, or in another process that was forked since "
        "there "
        "were some: make it where the pool was made and pass it to the task, which can fill it");
  }
  const BufferSource::Block block = arena_->take_zeroed(size);
  if (block.begin == nullptr) throw std::bad_alloc();
  std::shared_ptr<SharedBytes> part;
  try {
    part = std::make_shared<SharedBytes>(*arena_, block);
  } catch (...) {
    arena_->give_back(block);
    throw;
  }
  const std::scoped_lock lock(mutex_);
  parts_.insert_or_assign(block.begin, part);
  return part;
}

inline std::shared_ptr<SharedBytes> SharedHeap::owner_of(const std::byte* begin) {
  const std::scoped_lock lock(mutex_);
  const auto found = parts_.find(begin);
  return found != parts_.end() ? found->second.lock() : nullptr;
}

inline void SharedHeap::forget(const std::byte* begin) noexcept {
  const std::scoped_lock lock(mutex_);
  parts_.erase(begin);
}

}  // namespace concurrent::multiprocessing::detail
