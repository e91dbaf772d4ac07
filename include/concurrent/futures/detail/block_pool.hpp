// SPDX-License-Identifier: MIT
#pragma once

// Memory for task states: small blocks, made in one thread and freed in another by the million.

#include <concurrent/detail/sanitizers.hpp>
#include <concurrent/futures/detail/before_fork.hpp>
#include <concurrent/futures/detail/spin_lock.hpp>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

namespace concurrent::futures::detail {

using concurrent::detail::under_sanitizer;

/// A free block that lies in no magazine.
struct Block {
  Block* next;
};

/// Free blocks of one size, by address: who takes them can prefetch them, and who gives them does
/// not have to write to them.
struct Magazine {
  static constexpr std::uint32_t capacity = 62;

  Magazine* below = nullptr;  // in the depot
  std::uint32_t count = 0;
  void* blocks[capacity];
};

/// One thread's blocks of one size. Two magazines, so that a thread at the border of one does not
/// go to the depot for every block.
struct BlockList {
  Magazine* loaded = nullptr;
  Magazine* previous = nullptr;
  char* fresh = nullptr;  // what is left of a slab
  char* fresh_end = nullptr;
};

/// One thread's blocks. Constant-initialised and without a destructor, so that using it costs no
/// guard.
struct BlockCache {
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t largest = 256;
  static constexpr std::size_t sizes = largest / granule;

  BlockList lists[sizes];
  bool registered = false;
  bool ended = false;  // the thread is about to end: nothing is kept any more
};

inline constinit thread_local BlockCache block_cache{};

/// Magazines of free blocks by size (Bonwick and Adams, "Magazines and Vmem", 2001), two for each
/// thread and a depot that all share. Blocks travel between threads 62 at a time, so that a
/// producer that only allocates and a worker that only frees meet at the depot once in 62 tasks,
/// where the general allocator's caches (7 blocks a size in glibc) send nearly every task through a
/// lock.
///
/// Memory goes back to the magazines and not to the system: what was needed once is there for the
/// next burst, since touching fresh pages costs more than everything else about a task. Larger and
/// over-aligned blocks, and all blocks under a sanitizer, come from operator new.
///
/// **Thread safety** any thread may free what any thread allocated, also while threads end.
class BlockPool {
 public:
  static void* allocate(std::size_t size) {
    if (pooled(size)) {
      BlockCache& cache = block_cache;
      BlockList& list = cache.lists[index_of(size)];
      if (list.loaded != nullptr && list.loaded->count != 0) return pop(*list.loaded);
      return refill(cache, list, index_of(size));
    }
    return ::operator new(size);
  }

  static void deallocate(void* memory, std::size_t size) noexcept {
    if (pooled(size)) {
      BlockCache& cache = block_cache;
      BlockList& list = cache.lists[index_of(size)];
      if (list.loaded != nullptr && list.loaded->count != Magazine::capacity) {
        push(*list.loaded, memory);
      } else {
        give_back(cache, list, index_of(size), memory);
      }
      return;
    }
    ::operator delete(memory);
  }

 private:
  static constexpr std::size_t granule = BlockCache::granule;
  static constexpr std::size_t largest = BlockCache::largest;
  static constexpr std::size_t sizes = BlockCache::sizes;
  static constexpr std::size_t slab = 32 * 1024;

  /// What no thread holds. Needs no memory, which this may be short of, and no destruction: tasks
  /// of static pools may be freed during the program's exit.
  struct Depot {
    SpinLock lock;
    Magazine* magazines = nullptr;  // those of a size are not empty
    Block* loose = nullptr;
  };
  struct Depots {
    Depot of_size[sizes];
    Depot empty;
  };
  /// Gives the thread's blocks to the depot when it ends.
  struct AtThreadEnd {
    AtThreadEnd() = default;
    AtThreadEnd(const AtThreadEnd&) = delete;
    AtThreadEnd& operator=(const AtThreadEnd&) = delete;
    [[gnu::cold]] ~AtThreadEnd() {
      block_cache.ended = true;
      for (std::size_t i = 0; i < sizes; ++i) {
        BlockList& list = block_cache.lists[i];
        for (; list.fresh != list.fresh_end; list.fresh += (i + 1) * granule) {
          put_loose(list.fresh, i);
        }
        put_magazine(std::exchange(list.loaded, nullptr), i);
        put_magazine(std::exchange(list.previous, nullptr), i);
      }
    }
  };

  static constexpr bool pooled(std::size_t size) noexcept {
    return !under_sanitizer && size <= largest;
  }
  static constexpr std::size_t index_of(std::size_t size) noexcept {
    return (size + granule - 1) / granule - 1;
  }

  static void* pop(Magazine& magazine) noexcept {
    // Another core may have used a block last: fetching one takes as long as making several tasks.
    constexpr std::uint32_t ahead = 16;
    void* const block = magazine.blocks[--magazine.count];
    if (magazine.count >= ahead) __builtin_prefetch(magazine.blocks[magazine.count - ahead], 1);
    return block;
  }
  static void push(Magazine& magazine, void* block) noexcept {
    magazine.blocks[magazine.count++] = block;
  }

  static Depots& depots() noexcept {
    static constinit Depots all{};
    return all;
  }
  [[gnu::cold]] static void lock_depots() noexcept {
    for (Depot& depot : depots().of_size) depot.lock.lock();
    depots().empty.lock.lock();
  }
  [[gnu::cold]] static void unlock_depots() noexcept {
    for (Depot& depot : depots().of_size) depot.lock.unlock();
    depots().empty.lock.unlock();
  }
  /// Null is nothing to put.
  [[gnu::noinline]] static void put_magazine(Magazine* magazine, std::size_t index) noexcept {
    if (magazine == nullptr) return;
    Depot& to = magazine->count != 0 ? depots().of_size[index] : depots().empty;
    const std::scoped_lock lock(to.lock);
    magazine->below = std::exchange(to.magazines, magazine);
  }
  [[gnu::noinline]] static Magazine* take_magazine(Depot& from) noexcept {
    const std::scoped_lock lock(from.lock);
    Magazine* const magazine = from.magazines;
    if (magazine != nullptr) from.magazines = magazine->below;
    return magazine;
  }
  [[gnu::cold]] static void put_loose(void* memory, std::size_t index) noexcept {
    Depot& to = depots().of_size[index];
    const std::scoped_lock lock(to.lock);
    to.loose = ::new (memory) Block{to.loose};
  }
  [[gnu::cold]] static void* take_loose(std::size_t index) noexcept {
    Depot& from = depots().of_size[index];
    const std::scoped_lock lock(from.lock);
    Block* const block = from.loose;
    if (block != nullptr) from.loose = block->next;
    return block;
  }

  [[gnu::noinline]] static void* refill(BlockCache& cache, BlockList& list, std::size_t index) {
    const std::size_t size = (index + 1) * granule;
    if (list.previous != nullptr && list.previous->count != 0) {
      std::swap(list.loaded, list.previous);
      return pop(*list.loaded);
    }
    if (list.fresh == list.fresh_end) {
      if (cache.ended) {
        void* const block = take_loose(index);
        return block != nullptr ? block : ::operator new(size);
      }
      if (!cache.registered) flush_at_thread_end(cache);
      if (Magazine* const full = take_magazine(depots().of_size[index]); full != nullptr) {
        put_magazine(std::exchange(list.loaded, full), index);
        return pop(*full);
      }
      if (void* const block = take_loose(index); block != nullptr) return block;
      // The magazines keep the slab's blocks; the slab itself is never freed.
      const std::size_t blocks = slab / size;
      list.fresh = static_cast<char*>(::operator new(blocks* size));
      list.fresh_end = list.fresh + blocks * size;
    }
    void* const block = list.fresh;
    list.fresh += size;
    return block;
  }

  /// The loaded magazine is full, or there is none.
  [[gnu::noinline]] static void give_back(BlockCache& cache, BlockList& list, std::size_t index,
                                          void* memory) noexcept {
    if (!cache.ended) {
      if (!cache.registered) flush_at_thread_end(cache);
      if (list.previous == nullptr || list.previous->count != 0) {
        Magazine* empty = take_magazine(depots().empty);
        if (empty == nullptr) empty = new (std::nothrow) Magazine;
        if (empty != nullptr) put_magazine(std::exchange(list.previous, empty), index);
      }
      if (list.previous != nullptr && list.previous->count == 0) {
        std::swap(list.loaded, list.previous);
        push(*list.loaded, memory);
        return;
      }
    }
    put_loose(memory, index);
  }

  [[gnu::cold]] static void flush_at_thread_end(BlockCache& cache) noexcept {
    cache.registered = true;
    // A child process must not inherit a lock that another thread holds.
    static const bool safe_to_fork = before_fork(lock_depots, unlock_depots);
    static_cast<void>(safe_to_fork);
    thread_local AtThreadEnd at_thread_end;
    static_cast<void>(at_thread_end);
  }
};

}  // namespace concurrent::futures::detail
