// SPDX-License-Identifier: MIT
#pragma once

// The messages between a process pool and its workers: a header of fixed size, then a payload.

#include <array>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace concurrent::futures::detail::process {

using multiprocessing::detail::ByteBuffer;
using multiprocessing::detail::ByteReader;

enum class FrameKind : std::uint32_t {
  task = 1,            // to the worker: the trampoline's address, callable and arguments
  ready,               // from the worker: its initializer has run
  initializer_failed,  // from the worker, which ends: an exception
  value,               // from the worker: what the task returned
  error,               // from the worker: what the task threw
  unreadable,          // from the worker, which ends: why the arguments could not be read
  wake,                // from the worker: there is something in the ring; no payload
  // In the ring of requests only:
  revocable_task,  // a task that waits behind another, and may be revoked
  large_task,      // no payload: the task's frame follows in the socket
  area_task,       // a RequestArea: the task lies in the arena
  result_area,     // an AreaMessage: where the worker may write results
  leave,           // no payload: the last one
  // In the ring of results only:
  area_value,  // an AreaMessage: the value lies in the arena
};

/// Its check lets the reader tell a frame from whatever else may have been written to the socket.
struct FrameHeader {
  std::uint32_t magic = 0;
  FrameKind kind{};
  std::uint64_t task = 0;
  std::uint64_t size = 0;  // of the payload, without the padding behind it
  std::uint64_t check = 0;

  static constexpr std::uint32_t right_magic = 0x63667031;  // "cfp1"
  static constexpr std::uint64_t largest_payload = std::uint64_t{1} << 48U;

  [[nodiscard]] std::uint64_t right_check() const noexcept {
    std::uint64_t hash = 0x9e3779b97f4a7c15U;
    for (const std::uint64_t part :
         {std::uint64_t{magic}, static_cast<std::uint64_t>(kind), task, size}) {
      hash = (hash ^ part) * 0xff51afd7ed558ccdU;
      hash ^= hash >> 32U;
    }
    return hash;
  }
  [[nodiscard]] bool valid() const noexcept {
    return magic == right_magic && check == right_check() && size < largest_payload;
  }
};

inline constexpr std::size_t header_size = sizeof(FrameHeader);
/// Frames are padded to this, so that payloads in one buffer are aligned for their values.
inline constexpr std::size_t frame_alignment = 16;
static_assert(header_size % frame_alignment == 0);

inline constexpr std::size_t padded(std::size_t size) {
  return (size + frame_alignment - 1) / frame_alignment * frame_alignment;
}

/// Begins a frame in an empty buffer: room for the header.
inline void begin_frame(ByteBuffer& buffer) {
  buffer.clear(std::size_t{64} * 1024);
  buffer.extend(header_size);
}
/// Forgets the payload that was written so far.
inline void restart_frame(ByteBuffer& buffer) noexcept { buffer.truncate(header_size); }

/// Completes a frame whose payload has been written behind the header's room.
inline void finish_frame(ByteBuffer& buffer, FrameKind kind, std::uint64_t task) {
  FrameHeader header{FrameHeader::right_magic, kind, task, buffer.size() - header_size, 0};
  header.check = header.right_check();
  const std::size_t padding = padded(buffer.size()) - buffer.size();
  if (padding != 0) std::memset(buffer.extend(padding), 0, padding);
  std::memcpy(buffer.data(), &header, header_size);
}

/// A frame as its receiver sees it. The payload is lent until the next one is asked for.
struct Frame {
  FrameKind kind{};
  std::uint64_t task = 0;
  std::span<const std::byte> payload;
};

/// Puts frames together from a stream of bytes. Small ones lie in a buffer that is reused, a large
/// one gets memory of its own, into which the bytes are received directly.
///
/// Use: while there is room() to fill, receive into it and tell filled(); then next() until it has
/// no more.
class FrameAssembler {
 public:
  enum class Result { frame, incomplete, corrupt };

  /// Where the next bytes go. @throws std::bad_alloc for a frame too large for this process.
  std::span<std::byte> room() {
    if (!large_.empty()) return {large_.data() + large_filled_, large_.size() - large_filled_};
    if (staging_.empty()) staging_.extend(staging_size);
    if (begin_ == end_) begin_ = end_ = 0;
    if (begin_ != 0 && end_ == staging_size) move_down();
    return {staging_.data() + end_, staging_size - end_};
  }
  void filled(std::size_t count) noexcept { (large_.empty() ? end_ : large_filled_) += count; }

  /// Takes the next frame out. The one before is not valid any more.
  Result next(Frame& frame) {
    forget_large();
    if (!large_.empty())
      return large_filled_ == large_.size() ? give_large(frame) : Result::incomplete;
    if (end_ - begin_ < header_size) return Result::incomplete;
    std::memcpy(&header_, staging_.data() + begin_, header_size);
    if (!header_.valid()) return Result::corrupt;
    const std::size_t whole = header_size + padded(header_.size);
    if (whole > staging_size) return begin_large();
    if (end_ - begin_ < whole) {
      if (staging_size - begin_ < whole) move_down();
      return Result::incomplete;
    }
    frame = {header_.kind, header_.task, {staging_.data() + begin_ + header_size, header_.size}};
    begin_ += whole;
    return Result::frame;
  }

  /// Gives back the memory of a large frame that was handed out, before the next one is asked for.
  void forget_large() noexcept {
    if (std::exchange(large_given_, false)) large_.clear();
  }

  /// True when what was received ends in the middle of a frame.
  [[nodiscard]] bool torn() const noexcept {
    return end_ != begin_ || (!large_.empty() && !large_given_);
  }

 private:
  void move_down() noexcept {
    std::memmove(staging_.data(), staging_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }

  Result begin_large() {
    ByteBuffer memory;
    memory.extend(padded(header_.size));
    const std::size_t here = end_ - begin_ - header_size;  // less than a whole frame
    std::memcpy(memory.data(), staging_.data() + begin_ + header_size, here);
    begin_ = end_ = 0;
    large_ = std::move(memory);
    large_filled_ = here;
    return Result::incomplete;
  }
  Result give_large(Frame& frame) noexcept {
    frame = {header_.kind, header_.task, {large_.data(), header_.size}};
    large_given_ = true;
    return Result::frame;
  }

  static constexpr std::size_t staging_size = std::size_t{16} * 1024;

  ByteBuffer staging_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  FrameHeader header_;
  ByteBuffer large_;
  std::size_t large_filled_ = 0;
  bool large_given_ = false;
};

}  // namespace concurrent::futures::detail::process
