// SPDX-License-Identifier: MIT
#pragma once

// Where large messages lie that a pool and its workers send each other: in an arena that is made
// before the first of them is forked.

#include <concurrent/multiprocessing/detail/arena.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace concurrent::futures::detail::process {

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
  void grant(std::span<std::byte> own) noexcept { own_ = {own.data(), own.size()}; }
  /// The request's area, if it has one, must be left alone from now on, or may be used.
  void forget_request() noexcept { request_ = {}; }
  void lend_request(std::span<std::byte> area) noexcept { request_ = {area.data(), area.size()}; }
  /// A result was sent that lies at `at`.
  void sent(const std::byte* at) noexcept {
    if (at != own_.begin) return;
    sent_ = true;
    lent_ = false;
  }
  [[nodiscard]] bool waits_for_reader() const noexcept { return sent_; }
  /// The pool has read all results.
  void all_is_read() noexcept { sent_ = false; }

  [[nodiscard]] bool readers_have_heap() const noexcept override { return true; }  // it is theirs
  Block take(std::size_t size) noexcept override {
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
  Block request_;
  Block own_;
  bool lent_ = false;  // to the reply that is being written
  bool sent_ = false;  // and not read yet
};

}  // namespace concurrent::futures::detail::process
