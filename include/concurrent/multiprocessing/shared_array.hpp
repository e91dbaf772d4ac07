// SPDX-License-Identifier: MIT
#pragma once

// An array whose elements lie in memory that worker processes share, so that it costs nothing to
// send it. Counterpart: multiprocessing.RawArray.

#include <algorithm>
#include <concurrent/multiprocessing/detail/shared_heap.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrent::multiprocessing {

/// What an element of a SharedArray must be: bytes that mean the same in every process.
template <class T>
concept shareable =
    std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T> && !std::is_const_v<T> &&
    detail::plain_value<T>;

/// A handle to a fixed number of elements that this process shares with worker processes.
///
/// Copies refer to the same elements, as in Python. As an argument of a task, or as a part of one,
/// it is sent without them: the task reads and writes the very same memory, and so does every
/// other task that has it, and the thread that has made it. In a task it is valid until the task
/// returns. A task may return an array that it was given. Empty by default.
///
/// What several processes or threads change at once is theirs to order: parts of their own
/// (`subspan` of `span()`), or std::atomic_ref. What is written before `submit` is seen by the
/// task, and what the task has written is seen by whoever has seen its future done. (A task whose
/// future came to its end before it, by cancel_running or with its pool, may write for a moment.)
///
/// The elements lie in memory that is reserved when the first array or process pool is made, and
/// that pools inherit: it need not be made before them. A pool whose workers share no memory (with
/// `.sandbox`, `.limits.address_space` or StartMethod::spawn) takes none: the future gets a
/// std::logic_error. The elements live as long as a handle in the process that made them, or a task
/// that was given them.
///
/// **Thread safety** as a std::shared_ptr: handles are independent of each other.
/// **Complexity** making one costs its zeros; copying and sending cost the same for every size.
/// **Python** multiprocessing.RawArray, which must be inherited and cannot be an argument of a
/// pool's task. There is no lock as in multiprocessing.Array.
/// **Example**
/// ```
/// SharedArray<float> image(width * height);
/// ProcessPoolExecutor executor;
/// executor.submit([](SharedArray<float> all, std::size_t row, std::size_t width) {
///   for (float& pixel : all.span().subspan(row * width, width)) pixel = 1;
/// }, image, 0, width).result();
/// ```
template <shareable T>
class SharedArray {
 public:
  using value_type = T;

  SharedArray() = default;
  /// `size` elements, all zero bytes. @throws std::bad_alloc, std::length_error; std::logic_error
  /// in a worker process.
  explicit SharedArray(std::size_t size) : size_(size) {
    if (size == 0) return;
    if (size > (std::numeric_limits<std::ptrdiff_t>::max)() / sizeof(T)) {
      throw std::length_error("a SharedArray of " + std::to_string(size) +
                              " elements is larger than any memory");
    }
    owner_ = detail::SharedHeap::instance().allocate(size * sizeof(T));
    first_ = elements(owner_->room());
  }
  /// Copies of these.
  explicit SharedArray(std::span<const T> values) : SharedArray(values.size()) {
    std::copy(values.begin(), values.end(), begin());
  }

  [[nodiscard]] T* data() const noexcept { return first_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<T> span() const noexcept { return {first_, size_}; }
  [[nodiscard]] T* begin() const noexcept { return first_; }
  [[nodiscard]] T* end() const noexcept { return first_ + size_; }
  /// @pre index < size()
  [[nodiscard]] T& operator[](std::size_t index) const noexcept { return first_[index]; }
  /// @throws std::out_of_range
  [[nodiscard]] T& at(std::size_t index) const {
    if (index < size_) return first_[index];
    throw std::out_of_range("index " + std::to_string(index) + " of a SharedArray of " +
                            std::to_string(size_));
  }

  // For archives.
  template <class Archive>
  void save(Archive& archive) const;
  template <class Archive>
  void load(Archive& archive);

 private:
  static_assert(alignof(T) <= 4096, "the elements of a SharedArray are aligned to pages at most");

  static T* elements(std::span<std::byte> bytes) noexcept {
    return std::launder(static_cast<T*>(static_cast<void*>(bytes.data())));
  }

  std::shared_ptr<detail::SharedBytes> owner_;  // null in a worker, which has it on loan
  T* first_ = nullptr;
  std::size_t size_ = 0;
};

template <shareable T>
template <class Archive>
void SharedArray<T>::save(Archive& archive) const {
  detail::AreaMessage area;
  if (size_ != 0) {
    area = detail::SharedHeap::instance().message_of(std::as_bytes(span()));
    archive.buffer().keep(owner_);
  }
  archive(area);
}

template <shareable T>
template <class Archive>
void SharedArray<T>::load(Archive& archive) {
  *this = {};
  detail::AreaMessage area;
  archive(area);
  if (area.size == 0) return;
  detail::SharedHeap& heap = detail::SharedHeap::instance();
  const std::span<std::byte> bytes = heap.bytes_of(area);
  bool is_one = !bytes.empty() && area.size % sizeof(T) == 0 && area.offset % alignof(T) == 0;
  if (heap.is_here()) {
    owner_ = heap.owner_of(bytes.data());
    is_one = is_one && owner_ != nullptr && owner_->room().size() >= bytes.size();
  }
  if (!is_one) throw CorruptDataError("a SharedArray that is none came from another process");
  first_ = elements(bytes);
  size_ = bytes.size() / sizeof(T);
}

}  // namespace concurrent::multiprocessing
