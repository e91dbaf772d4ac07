// SPDX-License-Identifier: MIT
#pragma once

// A ring of messages in memory that two processes share: one writes, one reads, neither waits.
// Nothing in Python: multiprocessing's pipes are sockets.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

namespace concurrent::futures::detail::process {

/// What both ends of a ring share beside its bytes. Zeros are an empty ring.
struct RingIndexes {
  alignas(64) std::atomic<std::uint64_t> published{0};  // bytes written; the writer's
  alignas(64) std::atomic<std::uint64_t> consumed{0};   // bytes read and given back; the reader's
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free,
              "atomic words shared by processes must not need a lock");

/// In front of each message.
struct RingHeader {
  std::uint32_t size = 0;  // of the payload; `filler`: nothing follows up to the end of the ring
  std::uint32_t kind = 0;
  std::uint64_t tag = 0;

  static constexpr std::uint32_t filler = (std::numeric_limits<std::uint32_t>::max)();
};

struct RingMessage {
  std::uint32_t kind = 0;
  std::uint64_t tag = 0;
  std::span<const std::byte> payload;
};

/// Protocol, one writer and one reader, each with a position of its own that only it writes
///   write    W1 load consumed                             is there room?
///            W2 copy header and payload                   (plain: the bytes are the writer's)
///            W3 store published                           what was written is the reader's
///   read     R1 load published                            is there a message?
///            R2 copy the header, look at the payload      (plain: the bytes are the reader's)
///            R3 store consumed                            the bytes are the writer's again
/// Pairings   W3(release) -> R1(acquire): who sees the index sees the message.
///            R3(release) -> W1(acquire): the bytes are not written before they have been read.
///            W3 is sequentially consistent, so that a writer that then looks whether the reader
///            sleeps, and a reader that says so and then looks at R1 once more, cannot both miss
///            each other (Dekker); see the flags of SharedBlock.
/// A batch    of messages is published at once: the index is dear while the reader looks at it.
/// A message  is contiguous: where the rest of the ring is too short, a filler header takes it.
/// A death    of the writer before W3 leaves bytes that nobody ever looks at; after it, a whole
///            message. A death of the reader leaves the ring as it was.
/// A bad peer can write anything anywhere in the memory at any time. Positions are therefore never
///            read back from it, the other's index and every header are read once and checked
///            against the ring's bounds, and what fails the check is `corrupt`.
/// ABA        positions only grow (2^64 bytes).
/// Progress   wait-free on both sides.
namespace ring {
inline constexpr std::size_t alignment = 16;
static_assert(sizeof(RingHeader) == alignment);
/// The bytes that a message takes.
inline constexpr std::size_t room_of(std::size_t payload) {
  return sizeof(RingHeader) + (payload + alignment - 1) / alignment * alignment;
}
/// The largest payload that always fits into an empty ring, wherever its position is.
inline constexpr std::size_t largest_payload(std::size_t capacity) {
  return capacity / 2 - sizeof(RingHeader);
}
}  // namespace ring

/// The writing end. **Thread safety** one thread at a time.
class RingWriter {
 public:
  RingWriter() = default;
  /// @pre `capacity` is a power of two, at least 64; `memory` is aligned to 16.
  RingWriter(RingIndexes& indexes, std::byte* memory, std::size_t capacity) noexcept
      : indexes_(&indexes), memory_(memory), capacity_(capacity) {}

  /// Where the payload of the next message goes; null: no room now. Nothing is appended by it.
  std::byte* reserve(std::size_t payload) noexcept;
  /// Writes the message whose payload was written to where reserve() said.
  void append(std::uint32_t kind, std::uint64_t tag, std::size_t payload) noexcept;
  /// The reader may have all messages that were appended. False: it had them already.
  bool publish() noexcept;
  /// Whether the reader has given back all that was appended.
  [[nodiscard]] bool all_consumed() const noexcept {
    // acquire: pairs with R3, so that what messages refer to may be overwritten
    return indexes_->consumed.load(std::memory_order_acquire) == position_;
  }

 private:
  [[nodiscard]] bool has_room(std::size_t room) noexcept;

  RingIndexes* indexes_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint64_t position_ = 0;   // the end of what was appended
  std::uint64_t published_ = 0;  // what W3 has stored
  std::uint64_t reserved_ = 0;   // where the reserved message begins
  std::uint64_t consumed_ = 0;   // as last seen by W1
};

/// The reading end. **Thread safety** one thread at a time.
class RingReader {
 public:
  enum class Result { message, empty, corrupt };

  RingReader() = default;
  RingReader(RingIndexes& indexes, const std::byte* memory, std::size_t capacity) noexcept
      : indexes_(&indexes), memory_(memory), capacity_(capacity) {}

  /// The next message. It, and those before it, stay where they are until give_back().
  Result next(RingMessage& message) noexcept;
  /// The writer may have the bytes of all messages that next() has given.
  void give_back() noexcept {
    if (given_back_ == position_) return;
    given_back_ = position_;
    indexes_->consumed.store(position_, std::memory_order_release);  // R3
  }
  /// The messages that were not given back come again.
  void rewind() noexcept { position_ = given_back_; }
  /// The next message, which next() has just given, comes again.
  void unread() noexcept { position_ = before_; }
  /// Whether next() would find something. For the look before sleeping, after the flag was set.
  [[nodiscard]] bool has_more() const noexcept {
    // R1 seq_cst: ordered after the flag (Dekker)
    return indexes_->published.load(std::memory_order_seq_cst) != position_;
  }

 private:
  RingIndexes* indexes_ = nullptr;
  const std::byte* memory_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t before_ = 0;  // where the message that was given last begins
  std::uint64_t given_back_ = 0;
  std::uint64_t published_ = 0;  // as last seen by R1, and checked
};

// Implementation

inline bool RingWriter::has_room(std::size_t room) noexcept {
  if (reserved_ + room - consumed_ <= capacity_) return true;
  const std::uint64_t seen = indexes_->consumed.load(std::memory_order_acquire);  // W1
  // What lies outside of what is written is no index of a reader of ours: the ring stays full.
  if (position_ - seen > capacity_) return false;
  consumed_ = seen;
  return reserved_ + room - consumed_ <= capacity_;
}

inline std::byte* RingWriter::reserve(std::size_t payload) noexcept {
  if (payload > ring::largest_payload(capacity_)) return nullptr;
  const std::size_t room = ring::room_of(payload);
  reserved_ = position_;
  const std::size_t at = reserved_ & (capacity_ - 1);
  const std::size_t to_the_end = capacity_ - at;
  if (room > to_the_end) {
    reserved_ += to_the_end;
    if (!has_room(room)) return nullptr;
    const RingHeader filler{RingHeader::filler, 0, 0};
    std::memcpy(memory_ + at, &filler, sizeof filler);  // W2
  } else if (!has_room(room)) {
    return nullptr;
  }
  return memory_ + (reserved_ & (capacity_ - 1)) + sizeof(RingHeader);
}

inline void RingWriter::append(std::uint32_t kind, std::uint64_t tag,
                               std::size_t payload) noexcept {
  const RingHeader header{static_cast<std::uint32_t>(payload), kind, tag};
  std::memcpy(memory_ + (reserved_ & (capacity_ - 1)), &header, sizeof header);  // W2
  position_ = reserved_ + ring::room_of(payload);
}

inline bool RingWriter::publish() noexcept {
  if (published_ == position_) return false;
  published_ = position_;
  indexes_->published.store(position_, std::memory_order_seq_cst);  // W3
  return true;
}

inline RingReader::Result RingReader::next(RingMessage& message) noexcept {
  before_ = position_;
  for (;;) {
    if (position_ == published_) {
      const std::uint64_t seen = indexes_->published.load(std::memory_order_acquire);  // R1
      if (seen == position_) return Result::empty;
      if (seen - given_back_ > capacity_ || seen % ring::alignment != 0 || seen < position_) {
        return Result::corrupt;
      }
      published_ = seen;
    }
    const std::size_t at = position_ & (capacity_ - 1);
    const std::size_t to_the_end = capacity_ - at;
    RingHeader header;
    std::memcpy(&header, memory_ + at, sizeof header);  // R2
    if (header.size == RingHeader::filler) {
      if (published_ - position_ <= to_the_end) return Result::corrupt;
      position_ += to_the_end;
      continue;
    }
    if (header.size > ring::largest_payload(capacity_)) return Result::corrupt;
    const std::size_t room = ring::room_of(header.size);
    if (room > to_the_end || room > published_ - position_) return Result::corrupt;
    message = {header.kind, header.tag, {memory_ + at + sizeof header, header.size}};
    position_ += room;
    return Result::message;
  }
}

}  // namespace concurrent::futures::detail::process
