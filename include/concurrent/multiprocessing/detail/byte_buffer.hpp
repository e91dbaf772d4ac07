// SPDX-License-Identifier: MIT
#pragma once

// The bytes of a message: a growable buffer for the writer, a bounds-checked view for the reader.
// No counterpart in Python (the io.BytesIO behind pickle).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace concurrent::multiprocessing {

/// What was received is not what was sent: a value ends beyond its message, or a message is longer
/// than its value. Counterpart: pickle.UnpicklingError.
struct CorruptDataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

/// Where large buffers come from instead of the heap.
class BufferSource {
 public:
  struct Block {
    std::byte* begin = nullptr;
    std::size_t size = 0;
  };

  BufferSource() = default;
  BufferSource(const BufferSource&) = delete;
  BufferSource& operator=(const BufferSource&) = delete;

  /// At least `size` bytes, aligned to 16; null where there are none, and the heap's will do.
  virtual Block take(std::size_t size) noexcept = 0;
  virtual void give_back(Block block) noexcept = 0;
  /// Whether those who read what lies there have the SharedHeap too.
  [[nodiscard]] virtual bool readers_have_heap() const noexcept = 0;

 protected:
  ~BufferSource() = default;
};

/// A growable buffer of bytes that never initialises what it will overwrite, and lets the system
/// move whole pages when it grows. Its start is aligned for every fundamental type.
///
/// **Thread safety** none; one owner at a time.
class ByteBuffer {
 public:
  static constexpr std::size_t alignment = 16;

  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)),
        source_(other.source_),
        kept_(std::move(other.kept_)),
        memory_(std::exchange(other.memory_, Memory::heap)) {}
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(source_, other.source_);
    std::swap(kept_, other.kept_);
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~ByteBuffer() { release(); }

  /// What is too large for the heap comes from there from now on. The source outlives the buffer.
  void draw_from(BufferSource* source) noexcept { source_ = source; }
  /// As long as it fits, it lies in `room`, which outlives what this buffer is moved to as well.
  /// @pre empty, and aligned to `alignment`
  void begin_in(std::span<std::byte> room) noexcept {
    release();
    data_ = room.data();
    capacity_ = room.size();
    memory_ = Memory::room;
  }
  /// Whether it lies in what its source has given.
  [[nodiscard]] bool lent() const noexcept { return memory_ == Memory::source; }
  /// Somebody else has what the source has given.
  void leave() noexcept {
    data_ = nullptr;
    size_ = capacity_ = 0;
    memory_ = Memory::heap;
  }

  using Kept = std::vector<std::shared_ptr<const void>>;
  /// For memory that is shared with the reader: it must stay until the message has been read, and
  /// what came of it. @throws std::logic_error where no memory is shared; std::bad_alloc
  void keep(std::shared_ptr<const void> part) {
    if (source_ == nullptr || !source_->readers_have_heap()) {
      throw std::logic_error(
          "a SharedArray cannot cross to this process pool: its workers share no memory (.sandbox, "
          ".limits.address_space or StartMethod::spawn)");
    }
    if (part == nullptr) return;  // it is on loan here, and stays for that long
    if (kept_ == nullptr) kept_ = std::make_unique<Kept>();
    kept_->push_back(std::move(part));
  }
  [[nodiscard]] std::unique_ptr<Kept> take_kept() noexcept { return std::move(kept_); }

  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
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
    kept_.reset();
    if (!lent() && capacity_ <= keep_at_most) return;
    release();
    leave();
  }

 private:
  enum class Memory : unsigned char { heap, source, room };

  void grow(std::size_t count) {
    constexpr std::size_t limit = (std::numeric_limits<std::size_t>::max)() / 2;
    if (count > limit - size_) throw std::bad_alloc();
    std::size_t wanted = size_ + count;
    const std::size_t half_more = capacity_ + capacity_ / 2;
    // The first allocation of a large message is exact; only growing ones take more than asked.
    if (capacity_ != 0 && wanted < half_more) wanted = half_more;
    if (wanted < smallest) wanted = smallest;
    wanted =
        (wanted + alignment - 1) / alignment * alignment;  // room for the padding behind a message
    if (source_ != nullptr && wanted >= large && grow_in_source(wanted)) return;
    if (memory_ != Memory::heap) {
      move_to(static_cast<std::byte*>(std::malloc(wanted)), wanted);
      memory_ = Memory::heap;
      return;
    }
    void* const moved = std::realloc(data_, wanted);
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(moved);
    capacity_ = wanted;
  }

  bool grow_in_source(std::size_t wanted) noexcept {
    const BufferSource::Block block = source_->take(wanted);
    if (block.begin == nullptr) return false;
    move_to(block.begin, block.size);
    memory_ = Memory::source;
    return true;
  }
  void move_to(std::byte* to, std::size_t capacity) {
    if (to == nullptr) throw std::bad_alloc();
    if (size_ != 0) std::memcpy(to, data_, size_);
    release();
    data_ = to;
    capacity_ = capacity;
  }
  void release() noexcept {
    switch (memory_) {
      case Memory::heap:
        return std::free(data_);
      case Memory::source:
        return source_->give_back({data_, capacity_});
      case Memory::room:
        return;
    }
  }

  static constexpr std::size_t smallest = 128;
  static constexpr std::size_t large = std::size_t{16} * 1024;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  BufferSource* source_ = nullptr;
  std::unique_ptr<Kept> kept_;
  Memory memory_ = Memory::heap;
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
