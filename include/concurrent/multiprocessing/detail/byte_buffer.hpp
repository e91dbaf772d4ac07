// SPDX-License-Identifier: MIT
#pragma once

// The bytes of a message: a growable buffer for the writer, a bounds-checked view for the reader.
// No counterpart in Python (the io.BytesIO behind pickle).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

namespace concurrent::multiprocessing {

/// What was received is not what was sent: a value ends beyond its message, or a message is longer
/// than its value. Counterpart: pickle.UnpicklingError.
struct CorruptDataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A growable buffer of bytes that never initialises what it will overwrite, and lets the system
/// move whole pages when it grows. Its start is aligned for every fundamental type.
///
/// **Thread safety** none; one owner at a time.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~ByteBuffer() { std::free(data_); }

  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Adds `count` bytes, uninitialised, and returns where they are.
  /// @throws std::bad_alloc
  std::byte* extend(std::size_t count) {
    if (count > capacity_ - size_) grow(count);
    std::byte* const at = data_ + size_;
    size_ += count;
    return at;
  }
  void append(const void* bytes, std::size_t count) {
    if (count != 0) std::memcpy(extend(count), bytes, count);
  }
  /// Forgets what is beyond `count`.
  void truncate(std::size_t count) noexcept { size_ = count < size_ ? count : size_; }
  /// Gives the memory back, unless it is so little that the next message can use it.
  void clear(std::size_t keep_at_most = 0) noexcept {
    size_ = 0;
    if (capacity_ <= keep_at_most) return;
    std::free(std::exchange(data_, nullptr));
    capacity_ = 0;
  }

 private:
  void grow(std::size_t count) {
    constexpr std::size_t limit = (std::numeric_limits<std::size_t>::max)() / 2;
    if (count > limit - size_) throw std::bad_alloc();
    std::size_t wanted = size_ + count;
    const std::size_t half_more = capacity_ + capacity_ / 2;
    // The first allocation of a large message is exact; only growing ones take more than asked.
    if (capacity_ != 0 && wanted < half_more) wanted = half_more;
    if (wanted < smallest) wanted = smallest;
    wanted = (wanted + 15) / 16 * 16;  // room for the padding behind a message
    void* const moved = std::realloc(data_, wanted);
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(moved);
    capacity_ = wanted;
  }

  static constexpr std::size_t smallest = 128;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Reads a message from its begin to its end and never beyond.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept
      : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] std::size_t position() const noexcept {
    return static_cast<std::size_t>(at_ - begin_);
  }

  /// The next `count` bytes.
  /// @throws CorruptDataError if there are not so many.
  const std::byte* take(std::size_t count) {
    if (count > left()) {
      throw CorruptDataError("a value is longer than the message that carries it");
    }
    return std::exchange(at_, at_ + count);
  }
  void copy_to(void* to, std::size_t count) {
    const std::byte* const from = take(count);
    if (count != 0) std::memcpy(to, from, count);
  }
  /// @throws CorruptDataError if something is left.
  void expect_end() const {
    if (left() != 0) throw CorruptDataError("a message is longer than the value in it");
  }

 private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace detail
}  // namespace concurrent::multiprocessing
