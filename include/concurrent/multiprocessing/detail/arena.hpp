// SPDX-License-Identifier: MIT
#pragma once

// Memory that processes share, to be given away in parts: one has made it, and others have it
// because they are forked later, or by its descriptor. Counterpart: multiprocessing.heap.Arena.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace concurrent::multiprocessing::detail {

/// A part of the arena, as it is told to the other side.
struct AreaMessage {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// Gives parts of the arena away and takes them back, in the process that has made it; others only
/// read and write where they are told. Pages that were used stay for the next time up to a limit,
/// because a fresh page costs more than copying into it.
///
/// **Thread safety** all members, but the constructor and the destructor.
/// **Complexity** O(1). Sizes are rounded up by at most a quarter, which costs addresses only.
class Arena final : public BufferSource {
 public:
  /// In memory that only forked processes share with this one: as much as the machine has, but at
  /// most `most` bytes. Addresses cost next to nothing, and pages come when they are written to.
  explicit Arena(std::size_t most) noexcept : inherited_(true) {
    map(MAP_ANONYMOUS, -1, right_size(most));
  }
  /// In memory of make_memory(), which another process can have too.
  explicit Arena(const concurrent::detail::os::Descriptor& memory) noexcept {
    struct stat status {};
    if (::fstat(memory.number(), &status) != 0) return;
    map(0, memory.number(), static_cast<std::size_t>(status.st_size));
  }
  /// Empty where the system has none.
  static concurrent::detail::os::Descriptor make_memory(std::size_t most) noexcept {
    return concurrent::detail::os::make_sparse_memory(right_size(most));
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    if (begin_ != nullptr) ::munmap(begin_, size_);
  }

  /// Whether there is memory; without it, messages go through the sockets.
  explicit operator bool() const noexcept { return begin_ != nullptr; }

  [[nodiscard]] bool readers_have_heap() const noexcept override { return inherited_; }

  Block take(std::size_t size) noexcept override {
    const Class wanted = class_of(size);
    return {take_area(wanted).begin, wanted.size};
  }
  /// The same, all zeros.
  Block take_zeroed(std::size_t size) noexcept {
    const Class wanted = class_of(size);
    const Free area = take_area(wanted);
    if (area.warm) std::memset(area.begin, 0, size);
    return {area.begin, wanted.size};
  }
  void give_back(Block block) noexcept override {
    const std::size_t index = class_of(block.size).index;
    bool warm = block.size <= most_warm_bytes / 2 && may_keep(block.size);
    // The mapping is shared: its pages go everywhere. If that fails they stay.
    if (!warm) warm = ::madvise(block.begin, block.size, MADV_REMOVE) != 0;
    try {
      const std::scoped_lock lock(mutex_);
      free_[index].push_back({block.begin, warm});
      if (warm) warm_bytes_ += block.size;
    } catch (...) {  // no memory for the list: these addresses are lost
    }
  }

  [[nodiscard]] AreaMessage message_of(std::span<const std::byte> bytes) const noexcept {
    return {static_cast<std::uint64_t>(bytes.data() - begin_), bytes.size()};
  }
  /// What the other side has told; empty if that lies outside.
  [[nodiscard]] std::span<std::byte> bytes_of(const AreaMessage& area) const noexcept {
    if (area.offset > size_ || area.size > size_ - area.offset) return {};
    return {begin_ + area.offset, static_cast<std::size_t>(area.size)};
  }

 private:
  struct Class {
    std::size_t index;
    std::size_t size;
  };
  struct Free {
    std::byte* begin = nullptr;
    bool warm = false;  // its pages are there, with whatever was written to them
  };

  bool may_keep(std::size_t size) noexcept {
    const std::scoped_lock lock(mutex_);
    return warm_bytes_ + size <= most_warm_bytes;
  }

  /// Null if there is none.
  Free take_area(const Class& wanted) noexcept {
    if (wanted.index >= classes) return {};
    const std::scoped_lock lock(mutex_);
    std::vector<Free>& free = free_[wanted.index];
    if (!free.empty()) {
      const Free area = free.back();
      free.pop_back();
      if (area.warm) warm_bytes_ -= wanted.size;
      return area;
    }
    if (wanted.size > size_ - used_) return {};
    std::byte* const begin = begin_ + used_;
    used_ += wanted.size;
    return {begin, false};
  }

  static std::size_t right_size(std::size_t most) noexcept {
    const auto pages = ::sysconf(_SC_PHYS_PAGES);
    const auto page = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) return 0;
    const std::size_t memory = static_cast<std::size_t>(pages) * static_cast<std::size_t>(page);
    return (std::min)(std::bit_ceil(memory), most);
  }
  void map(int kind, int descriptor, std::size_t size) noexcept {
    void* const begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_NORESERVE | kind, descriptor, 0);
    if (begin == MAP_FAILED) return;
    ::madvise(begin, size, MADV_DONTDUMP);
    begin_ = static_cast<std::byte*>(begin);
    size_ = size;
  }

  /// Four classes for each power of two, from 64 KiB on.
  static Class class_of(std::size_t size) noexcept {
    size = (std::max)(size, smallest);
    const auto octave = static_cast<std::size_t>(std::bit_width(size - 1)) - 1;
    const std::size_t step = (std::size_t{1} << octave) / 4;
    const std::size_t steps = (size - (std::size_t{1} << octave) + step - 1) / step;  // 1 to 4
    return {(octave - smallest_octave) * 4 + steps, (std::size_t{1} << octave) + steps * step};
  }

  static constexpr std::size_t smallest = (std::size_t{64} << 10U) + 1;
  static constexpr std::size_t smallest_octave = 16;
  static constexpr std::size_t classes = 4 * (48 - smallest_octave);
  static constexpr std::size_t most_warm_bytes = std::size_t{256} << 20U;

  const bool inherited_ = false;
  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;

  std::mutex mutex_;
  std::size_t used_ = 0;  // from the begin on, given away at some time
  std::size_t warm_bytes_ = 0;
  std::array<std::vector<Free>, classes> free_;
};

/// Owns a part of the arena.
class AreaLease {
 public:
  AreaLease() = default;
  AreaLease(Arena& arena, std::size_t size) noexcept : arena_(&arena), block_(arena.take(size)) {}
  AreaLease(AreaLease&& other) noexcept
      : arena_(other.arena_), block_(std::exchange(other.block_, {})) {}
  AreaLease& operator=(AreaLease&& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(block_, other.block_);
    return *this;
  }
  ~AreaLease() {
    if (block_.begin != nullptr) arena_->give_back(block_);
  }

  explicit operator bool() const noexcept { return block_.begin != nullptr; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {block_.begin, block_.size};
  }

 private:
  Arena* arena_ = nullptr;
  BufferSource::Block block_;
};

}  // namespace concurrent::multiprocessing::detail
