// SPDX-License-Identifier: MIT
#pragma once

// What a pool and one of its workers share in memory: two rings, the states of the tasks that wait
// in one of them, and who sleeps.

#include <atomic>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/futures/detail/process/ring.hpp>
#include <cstddef>
#include <cstdint>
#include <new>

namespace concurrent::futures::detail::process {

/// Protocol, sleeping (a flag for each side; the worker's bell is a pipe, the pool's a frame in the
/// worker's socket, so that a sleeper sees the end of the other process too)
///   sleeper  F1 store flag = 1                  "I shall sleep"
///            F2 look into the ring once more    (R1); not empty: F5 instead of sleeping
///            F3 sleep on the pipe or the socket
///            F5 exchange flag = 0
///   other    F4 after W3: load flag; 1: exchange flag = 0, and who got the 1 rings
///   Proof    F1, F2, W3 and F4 are sequentially consistent. If F2 comes before W3 in their order,
///            so does F1, and F4 sees the flag: somebody rings. Else F2 sees the message. A sleeper
///            that finds its flag taken at F5 will find one ring too many: it looks and sleeps on.
///   `worker_sleeps` is the worker's; F4 in the pool is after each request.
///   `pool_listens` is the pool's, 1 unless a thread of it promises to look at the results soon.
///   F4 in the worker comes after a result, as soon as it begins another task, or when nobody has
///   fetched the result for about a microsecond: whoever waits actively spares it the bell.
///
/// Protocol, tasks that wait in the ring behind another (`slots`, one for each of the last tickets)
///   place    T1 slot = ticket|queued            before W3
///   take     T2 CAS ticket|queued -> taken      the worker, before it looks at the payload
///   revoke   T3 CAS ticket|queued -> revoked    the pool: it is cancelled, or another's from now
///   on skip     T4 store ticket|skipped            the worker, which has met a revoked one
///   Pairings T1 comes with W3(release). T2 and T3 are read-modify-writes of one word, so exactly
///            one wins; nothing else is read through them, but T2 is acq_rel and T3 too, so that a
///            new owner of the task comes after.
///   Reuse    a slot is placed again only when its last ticket has had its result, or was skipped;
///            the ticket in the word lets nobody take one for another.
///   A death  of the worker after T2 fails the task as running, before it leaves it revocable.
///   A bad worker can set slots as it likes: the pool then thinks that a task is taken that is not,
///            and waits for its result until the worker ends; it never touches other memory.
struct SharedBlock {
  static constexpr std::size_t slot_count = 128;
  static constexpr std::size_t ring_capacity = std::size_t{64} * 1024;
  /// Larger messages travel through the socket.
  static constexpr std::size_t largest_message = std::size_t{16} * 1024;

  RingIndexes requests;
  RingIndexes results;
  alignas(64) std::atomic<std::uint32_t> worker_sleeps{0};
  alignas(64) std::atomic<std::uint32_t> pool_listens{0};
  alignas(64) std::atomic<std::uint64_t> slots[slot_count]{};
  alignas(64) std::byte request_bytes[ring_capacity];
  alignas(64) std::byte result_bytes[ring_capacity];

  static SharedBlock& of(const concurrent::detail::os::SharedMapping& mapping) noexcept {
    // Fresh shared memory is zeros, which is what the members begin with.
    return *std::launder(static_cast<SharedBlock*>(static_cast<void*>(mapping.begin())));
  }

  // What a slot holds.
  enum class Slot : std::uint64_t { skipped, queued, taken, revoked };
  static constexpr std::uint64_t word(std::uint64_t ticket, Slot state) noexcept {
    return ticket << 2U | static_cast<std::uint64_t>(state);
  }
  std::atomic<std::uint64_t>& slot(std::uint64_t ticket) noexcept {
    return slots[ticket % slot_count];
  }

  /// F4: true for the one who has to ring.
  static bool has_to_ring(std::atomic<std::uint32_t>& flag) noexcept {
    return flag.load(std::memory_order_seq_cst) == 1 &&
           flag.exchange(0, std::memory_order_seq_cst) == 1;
  }
};

}  // namespace concurrent::futures::detail::process
