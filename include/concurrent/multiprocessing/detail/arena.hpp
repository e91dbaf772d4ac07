// SPDX-License-Identifier: MIT
#pragma once

// Memory that processes share, to be given away in parts: one has made it, and others have it
// because they are forked later, or by its descriptor. Counterpart: multiprocessing.heap.Arena.

#include <sys/mman.h>
#include <sys/resource.h>
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
#include <new>
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
  /// In memory that only forked processes share with this one. Addresses cost next to nothing, and
  /// pages come when they are written to; where a system reserves memory all the same, it may have
  /// less, or none.
  explicit Arena(std::size_t wanted) noexcept : inherited_(true) {
    for (std::size_t size = right_size(wanted); begin_ == nullptr && size >= least; size /= 4) {
      map(MAP_ANONYMOUS, -1, size);
    }
  }
  /// In memory of make_memory(), which another process can have too.
  explicit Arena(const concurrent::detail::os::Descriptor& memory) noexcept {
    struct stat status {};
    if (::fstat(memory.number(), &status) != 0) return;
    map(0, memory.number(), static_cast<std::size_t>(status.st_size));
  }
  /// Empty where the system has none.
  static concurrent::detail::os::Descriptor make_memory(std::size_t wanted) noexcept {
    return concurrent::detail::os::make_sparse_memory(right_size(wanted));
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    if (begin_ != nullptr) concurrent::detail::os::unmap_shared(begin_, size_);
  }

  /// Whether there is memory; without it, messages go through the sockets.
  explicit operator bool() const noexcept { return begin_ != nullptr; }

  [[nodiscard]] bool readers_have_heap() const noexcept override { return inherited_; }

  Block take(std::size_t size) noexcept override {
    const Class wanted = class_of(size);
    const Free area = take_area(wanted);
    return area.begin != nullptr ? Block{area.begin, wanted.size} : Block{};
  }
  /// The same, all zeros.
  Block take_zeroed(std::size_t size) noexcept {
    const Class wanted = class_of(size);
    const Free area = take_area(wanted);
    if (area.begin == nullptr) return {};
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
      --given_;
    } catch (...) {  // no memory for the list: these addresses are lost
    }
  }

  [[nodiscard]] const std::byte* base() const noexcept { return begin_; }
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

  /// Nothing is given away: all of it may be divided otherwise.
  void begin_anew() noexcept {
    if (used_ == 0 || ::madvise(begin_, used_, MADV_REMOVE) != 0) return;
    for (auto& free : free_) free.clear();
    used_ = warm_bytes_ = 0;
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
      ++given_;
      return area;
    }
    if (wanted.size > size_ - used_ && given_ == 0) begin_anew();
    if (wanted.size > size_ - used_) return {};
    ++given_;
    std::byte* const begin = begin_ + used_;
    used_ += wanted.size;
    return {begin, false};
  }

  /// `wanted` bytes, but less where addresses are counted.
  static std::size_t right_size(std::size_t wanted) noexcept {
    if (concurrent::detail::os::addresses_are_memory()) wanted = (std::min)(wanted, least);
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    return (std::min)(wanted, std::bit_floor(static_cast<std::size_t>(limit.rlim_cur / 16)));
  }
  void map(int kind, int descriptor, std::size_t size) noexcept {
    try {
      begin_ = concurrent::detail::os::map_shared(size, MAP_NORESERVE | kind, descriptor);
    } catch (const std::bad_alloc&) {  // then there is none
    }
    if (begin_ == nullptr) return;
    ::madvise(begin_, size, MADV_DONTDUMP);
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
  static constexpr std::size_t least = std::size_t{64} << 20U;
  static constexpr std::size_t smallest_octave = 16;
  static constexpr std::size_t classes = 4 * (48 - smallest_octave);
  static constexpr std::size_t most_warm_bytes = std::size_t{256} << 20U;

  const bool inherited_ = false;
  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;

  std::mutex mutex_;
  std::size_t used_ = 0;   // from the begin on, given away at some time
  std::size_t given_ = 0;  // how many parts are
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
