// SPDX-License-Identifier: MIT
#pragma once

// Memory for task states: small blocks, made in one thread and freed in another by the million.

#include <concurrent/futures/detail/before_fork.hpp>
#include <concurrent/futures/detail/spin_lock.hpp>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

namespace concurrent::futures::detail {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool under_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_sanitizer = __has_feature(address_sanitizer) ||
                                        __has_feature(thread_sanitizer) ||
                                        __has_feature(memory_sanitizer);
#else
inline constexpr bool under_sanitizer = false;
#endif

/// A free block.
struct Block {
  Block* next;
  Block* next_batch;  // of a batch's first block, in the depot
};

/// One thread's blocks of one size.
struct BlockList {
  Block* first = nullptr;
  std::size_t count = 0;
  char* fresh = nullptr;  // what is left of a slab
  char* fresh_end = nullptr;
};

/// One thread's blocks. Constant-initialised and without a destructor, so that using it costs no
/// guard.
struct BlockCache {
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t largest = 256;
  static constexpr std::size_t sizes = largest / granule;
  static constexpr std::size_t batch = 32;

  BlockList lists[sizes];
  std::size_t most = 2 * batch;  // blocks in a list; 1 once the thread ends: nothing is kept then
  bool registered = false;
};

inline constinit thread_local BlockCache block_cache{};

/// Free lists by size, one set for each thread and a depot that they share. Blocks travel between
/// threads in batches of 32, so that a producer that only allocates and a worker that only frees
/// meet at the depot once in 32 tasks, where the general allocator's caches (7 blocks a size in
/// glibc) send nearly every task through a lock.
///
/// Memory goes back to the lists and not to the system: what was needed once is there for the next
/// burst, since touching fresh pages costs more than everything else about a task. Larger and
/// over-aligned blocks, and all blocks under a sanitizer, come from operator new.
///
/// **Thread safety** any thread may free what any thread allocated, also while threads end.
class BlockPool {
 public:
  static void* allocate(std::size_t size) {
    if (pooled(size)) {
      Cache& cache = block_cache;
      List& list = cache.lists[index_of(size)];
      if (Block* const block = list.first; block != nullptr) {
        list.first = block->next;
        --list.count;
        return block;
      }
      return refill(cache, list, index_of(size));
    }
    return ::operator new(size);
  }

  static void deallocate(void* memory, std::size_t size) noexcept {
    if (pooled(size)) {
      Cache& cache = block_cache;
      List& list = cache.lists[index_of(size)];
      auto* const block = ::new (memory) Block{list.first, nullptr};
      list.first = block;
      if (++list.count >= cache.most) give_back(cache, list, index_of(size));
      return;
    }
    ::operator delete(memory);
  }

 private:
  using Cache = BlockCache;
  using List = BlockList;
  static constexpr std::size_t granule = Cache::granule;
  static constexpr std::size_t largest = Cache::largest;
  static constexpr std::size_t sizes = Cache::sizes;
  static constexpr std::size_t batch = Cache::batch;
  static constexpr std::size_t slab = 32 * 1024;

  struct Depot {
    SpinLock lock;
    Block* batches = nullptr;
  };
  /// Gives the thread's blocks to the depot when it ends.
  struct AtThreadEnd {
    AtThreadEnd() = default;
    AtThreadEnd(const AtThreadEnd&) = delete;
    AtThreadEnd& operator=(const AtThreadEnd&) = delete;
    ~AtThreadEnd() {
      Cache& cache = block_cache;
      cache.most = 1;
      for (std::size_t i = 0; i < sizes; ++i) {
        List& list = cache.lists[i];
        while (list.fresh != list.fresh_end) {
          list.first = ::new (list.fresh) Block{list.first, nullptr};
          list.fresh += (i + 1) * granule;
        }
        while (list.first != nullptr) put_batch(list, i);
        list.count = 0;
      }
    }
  };

  static constexpr bool pooled(std::size_t size) noexcept {
    return !under_sanitizer && size <= largest;
  }
  static constexpr std::size_t index_of(std::size_t size) noexcept {
    return (size + granule - 1) / granule - 1;
  }
  static Depot& depot(std::size_t index) noexcept {
    // Needs no memory, which this may be short of, and no destruction: tasks of static pools may be
    // freed during the program's exit.
    static constinit Depot depots[sizes];
    return depots[index];
  }
  static void lock_depots() noexcept {
    for (std::size_t i = 0; i < sizes; ++i) depot(i).lock.lock();
  }
  static void unlock_depots() noexcept {
    for (std::size_t i = 0; i < sizes; ++i) depot(i).lock.unlock();
  }
  static void put(Block* first, std::size_t index) noexcept {
    Depot& to = depot(index);
    const std::scoped_lock lock(to.lock);
    first->next_batch = to.batches;
    to.batches = first;
  }
  static Block* take(std::size_t index) noexcept {
    Depot& from = depot(index);
    const std::scoped_lock lock(from.lock);
    Block* const first = from.batches;
    if (first != nullptr) from.batches = first->next_batch;
    return first;
  }

  [[gnu::noinline]] static void* refill(Cache& cache, List& list, std::size_t index) {
    const std::size_t size = (index + 1) * granule;
    if (list.fresh == list.fresh_end) {
      flush_at_thread_end(cache);
      if (Block* const first = take(index); first != nullptr) {
        // The last batch of a thread that ended may be shorter. Counting it as whole gives some
        // back earlier, when there are still enough.
        list.first = first->next;
        list.count = batch - 1;
        return first;
      }
      // The depot keeps the slab's blocks; the slab itself is never freed.
      const std::size_t blocks = slab / size;
      list.fresh = static_cast<char*>(::operator new(blocks* size));
      list.fresh_end = list.fresh + blocks * size;
    }
    void* const block = list.fresh;
    list.fresh += size;
    return block;
  }

  /// Gives half of a full list to the depot; all of it when the thread ends.
  [[gnu::noinline]] static void give_back(Cache& cache, List& list, std::size_t index) noexcept {
    if (cache.most == 1) {
      list.count = 0;
      put(std::exchange(list.first, nullptr), index);
      return;
    }
    flush_at_thread_end(cache);
    put_batch(list, index);
    list.count -= batch;
  }

  /// Moves the first blocks of a list, at most a batch, to the depot.
  static void put_batch(List& list, std::size_t index) noexcept {
    Block* const first = list.first;
    Block* last = first;
    for (std::size_t i = 1; i < batch && last->next != nullptr; ++i) last = last->next;
    list.first = std::exchange(last->next, nullptr);
    put(first, index);
  }

  static void flush_at_thread_end(Cache& cache) noexcept {
    if (std::exchange(cache.registered, true)) return;
    // A child process must not inherit a lock that another thread holds.
    static const bool safe_to_fork = before_fork(lock_depots, unlock_depots);
    static_cast<void>(safe_to_fork);
    thread_local AtThreadEnd at_thread_end;
    static_cast<void>(at_thread_end);
  }
};

}  // namespace concurrent::futures::detail
