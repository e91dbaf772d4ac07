// SPDX-License-Identifier: MIT
#pragma once

// Where large messages lie that a pool and its workers send each other: in an arena that is made
// before the first of them is forked.

#include <sys/mman.h>

#include <algorithm>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/multiprocessing/detail/arena.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace concurrent::futures::detail::process {

namespace os = concurrent::detail::os;

using multiprocessing::detail::AreaLease;
using multiprocessing::detail::AreaMessage;
using multiprocessing::detail::Arena;

/// A request in the arena, and the end of what it may be overwritten up to once it is read.
struct RequestArea {
  AreaMessage message;
  std::uint64_t capacity = 0;  // from the message on
};

/// The parts of the arena that a worker may write its result to: the one of the request that it is
/// at, once that is read, and one of its own, once the pool has read what was there.
class WorkerAreas final : public multiprocessing::detail::BufferSource {
 public:
  /// `here`: of the worker; what it has forked writes nowhere. Null for `arena`: there is none.
  WorkerAreas(const Arena* arena, const os::ProcessMark& here) noexcept
      : here_(here), readers_have_heap_(arena != nullptr && arena->readers_have_heap()) {}

  void grant(std::span<std::byte> own) noexcept { own_ = {own.data(), own.size()}; }
  /// The request's area, if it has one, must be left alone from now on, or may be used.
  void forget_request() noexcept { request_ = {}; }
  void lend_request(std::span<std::byte> area) noexcept { request_ = {area.data(), area.size()}; }
  /// A result was sent that lies at `at` and takes `size` bytes.
  void sent(const std::byte* at, std::size_t size) noexcept {
    if (at != own_.begin) return;
    sent_ = true;
    lent_ = false;
    touched_ = (std::max)(touched_, size);
  }
  [[nodiscard]] bool waits_for_reader() const noexcept { return sent_; }
  /// The pool has read all results.
  void all_is_read() noexcept { sent_ = false; }

  /// Whether results have left much memory here, which is of no use to one that does nothing.
  [[nodiscard]] bool has_much() const noexcept { return touched_ > worth_keeping; }
  /// @pre the pool has read all results, and none is being written
  void give_up_pages() noexcept {
    ::madvise(own_.begin, own_.size, MADV_REMOVE);
    touched_ = 0;
  }

  [[nodiscard]] bool readers_have_heap() const noexcept override { return readers_have_heap_; }
  Block take(std::size_t size) noexcept override {
    if (!here_.is_here()) return {};
    if (request_.begin != nullptr && size <= request_.size) return std::exchange(request_, {});
    if (own_.begin != nullptr && size <= own_.size && !sent_ && !lent_) {
      lent_ = true;
      return own_;
    }
    return {};
  }
  void give_back(Block block) noexcept override {
    if (block.begin == own_.begin) {
      lent_ = false;
    } else {
      request_ = block;
    }
  }

 private:
  static constexpr std::size_t worth_keeping = std::size_t{1} << 20U;

  const os::ProcessMark& here_;
  const bool readers_have_heap_;
  Block request_;
  Block own_;
  std::size_t touched_ = 0;  // bytes of its own
  bool lent_ = false;        // to the reply that is being written
  bool sent_ = false;        // and not read yet
};

}  // namespace concurrent::futures::detail::process
