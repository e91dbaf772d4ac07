// SPDX-License-Identifier: MIT
#pragma once

// The channel between the pool and one worker: rings in memory that only these two share, a pipe
// that wakes the worker, and a socket pair for what is large, for waking the pool, and for noticing
// that the other has ended.
// This file is all that knows how bytes travel.

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/bell.hpp>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/kept_descriptor.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/futures/detail/process/active_wait.hpp>
#include <concurrent/futures/detail/process/frame.hpp>
#include <concurrent/futures/detail/process/message_areas.hpp>
#include <concurrent/futures/detail/process/shared_block.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <utility>

namespace concurrent::futures::detail::process {

namespace os = concurrent::detail::os;

/// The pool's end. Never waits: a ring that is full says so, and what cannot be sent through the
/// socket now is kept, and the owner pumps both directions whenever the descriptor is ready, so
/// that everything may be full at once.
///
/// Small requests and results travel in the rings, large ones in the arena, where the rings say.
/// Where the arena has no room, a large request is announced in the ring and follows in the socket,
/// so requests keep their order; a large result comes through the socket, and may come after
/// results of later tasks.
///
/// **Thread safety** none, but for revoke(); whoever drives the pool owns it.
class PoolChannel {
 public:
  enum class Status {
    open,
    closed,   // the worker has closed its end, or has died; all whole frames were handed out
    corrupt,  // what came is no frame
  };

  PoolChannel() = default;
  PoolChannel(os::Descriptor socket, os::BellRope bell, os::SharedMapping memory)
      : socket_(std::move(socket)), bell_(std::move(bell)), memory_(std::move(memory)) {
    SharedBlock& shared = block();
    requests_ = RingWriter(shared.requests, shared.request_bytes, SharedBlock::ring_capacity);
    results_ = RingReader(shared.results, shared.result_bytes, SharedBlock::ring_capacity);
    const int wanted = 1 << 20;  // the system gives what it allows; less means more turns
    ::setsockopt(socket_.number(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  }

  [[nodiscard]] int descriptor() const noexcept { return socket_.number(); }
  /// False for one that was closed.
  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  /// Whether to wait until the descriptor can be written too.
  [[nodiscard]] bool has_unsent() const noexcept { return !unsent_.empty(); }
  /// True when the worker's end was closed in the middle of a frame.
  [[nodiscard]] bool torn() const noexcept { return assembler_.torn(); }

  /// What fits into the ring.
  static bool is_small(const ByteBuffer& request) noexcept {
    return request.size() - header_size <= SharedBlock::largest_message;
  }
  /// Whether the next request fits into the ring.
  [[nodiscard]] bool has_room(const ByteBuffer& request) noexcept {
    return requests_.reserve(is_small(request) ? request.size() - header_size
                                               : sizeof(RequestArea)) != nullptr;
  }
  /// Tells the worker where it may write results. @pre nothing was sent before
  void grant(const AreaMessage& area) noexcept {
    put(FrameKind::result_area, 0, std::as_bytes(std::span(&area, 1)));
  }
  /// Hands a task to a worker that has none; wake_worker() should follow. A request in the arena
  /// must stay until the result is read, or the worker has ended. Another large one is moved away,
  /// and pump_out() should follow. Has done nothing if it throws. @pre has_room
  void send(ByteBuffer& request, std::uint64_t ticket, const Arena* arena);
  /// Whether a task with that ticket can be revocable: the last one in its slot is forgotten.
  [[nodiscard]] bool slot_is_free(std::uint64_t ticket) const noexcept {
    const std::uint64_t last = block().slot(ticket).load(std::memory_order_acquire);  // T4
    return (last & 3U) != static_cast<std::uint64_t>(SharedBlock::Slot::revoked);
  }
  /// Puts a small task behind others; publish() should follow. @pre has_room, slot_is_free
  void append_revocable(const ByteBuffer& request, std::uint64_t ticket) noexcept;
  /// The worker gets what was put behind others. False: it has all of it.
  bool publish() noexcept {
    if (!requests_.publish()) return false;
    wake_worker();
    return true;
  }
  /// Wakes the worker if it sleeps, after sending; whether it did. F4
  bool wake_worker() noexcept {
    if (!SharedBlock::has_to_ring(block().worker_sleeps)) return false;
    bell_.ring();
    return true;
  }

  /// True when the worker will not run it; false when it has begun. Any thread, while this exists.
  bool revoke(std::uint64_t ticket) noexcept {
    std::uint64_t queued = SharedBlock::word(ticket, SharedBlock::Slot::queued);
    // T3 acq_rel: see SharedBlock
    return block().slot(ticket).compare_exchange_strong(
        queued, SharedBlock::word(ticket, SharedBlock::Slot::revoked), std::memory_order_acq_rel,
        std::memory_order_relaxed);
  }
  /// Whether the worker has begun one that was revocable.
  [[nodiscard]] bool taken(std::uint64_t ticket) const noexcept {
    return block().slot(ticket).load(std::memory_order_acquire) ==
           SharedBlock::word(ticket, SharedBlock::Slot::taken);
  }

  [[nodiscard]] RingReader& results() noexcept { return results_; }
  /// From now on the worker rings for results. F1; look into the ring afterwards.
  void listen() noexcept {
    std::atomic<std::uint32_t>& flag = block().pool_listens;
    // relaxed: the pool alone sets it, so 1 is what this or another thread of it has set before
    if (flag.load(std::memory_order_relaxed) == 1) return;
    flag.store(1, std::memory_order_seq_cst);  // F1
  }
  /// Somebody looks: the worker need not ring.
  void look() noexcept {
    std::atomic<std::uint32_t>& flag = block().pool_listens;
    // relaxed, both: a worker that sees the 1 still rings once too often
    if (flag.load(std::memory_order_relaxed) == 1) flag.store(0, std::memory_order_relaxed);
  }

  /// Through the socket.
  void send_frame(ByteBuffer frame) {
    unsent_.push_back(std::move(frame));
    pump_out();
  }
  void pump_out() noexcept;

  /// The worker sees the end of the channel, even if a child of this program has inherited it.
  void close() noexcept {
    if (requests_.reserve(0) != nullptr) put(FrameKind::leave, 0, {});  // seen sooner
    ::shutdown(socket_.number(), SHUT_RDWR);
    bell_.ring();  // who sleeps looks at both
    *this = PoolChannel();
  }

  /// Receives what is there and calls `receive(const Frame&)` for each whole frame. Returns after a
  /// while in any case, so that no worker keeps the manager for itself; `drain` goes on to the end.
  template <class Receive>
  Status pump_in(Receive&& receive, bool drain = false);

 private:
  static constexpr int receives_at_a_time = 16;

  [[nodiscard]] SharedBlock& block() const noexcept { return SharedBlock::of(memory_); }
  void append(FrameKind kind, std::uint64_t ticket, std::span<const std::byte> payload) noexcept;
  void put(FrameKind kind, std::uint64_t ticket, std::span<const std::byte> payload) noexcept {
    append(kind, ticket, payload);
    requests_.publish();
  }

  os::Descriptor socket_;
  os::BellRope bell_;
  os::SharedMapping memory_;
  RingWriter requests_;
  RingReader results_;
  std::deque<ByteBuffer> unsent_;
  std::size_t sent_of_first_ = 0;
  FrameAssembler assembler_;
};

/// The worker's end, which waits.
///
/// A task may close any descriptor, write to it, or fork. Before each use of the socket, and before
/// sleeping on the bell, it is made sure that it is still that, and before each use of anything
/// that this is still the worker. The outcome of a task that ran long enough to have done something
/// to the socket is sent only if that is still the channel, and behind whatever the task may have
/// written there: then the pool meets that first. (What a shorter one did is found out at the next
/// use.)
class WorkerChannel {
 public:
  /// `bell`: what the pool rings when it has something for one who sleeps.
  /// `spin`: how many turns to wait actively before sleeping.
  WorkerChannel(os::Descriptor socket, os::Descriptor bell, SharedBlock& block, const Arena* arena,
                int spin) noexcept;

  /// Waits for the next task. False: the pool has closed its end.
  bool receive(Frame& frame);
  /// The frame that was received last is not needed any more.
  void forget() noexcept {
    assembler_.forget_large();
    requests_.give_back();
    areas_.lend_request(std::exchange(request_area_, {}));
    if (areas_.waits_for_reader() && results_.all_consumed()) areas_.all_is_read();
  }
  /// Where large results should be written.
  [[nodiscard]] multiprocessing::detail::BufferSource& areas() noexcept { return areas_; }
  /// Sends the outcome of the task that was received last.
  void send(ByteBuffer& frame, FrameKind kind, std::uint64_t task);
  /// Sends through the socket in any case.
  void send_frame(ByteBuffer& frame, FrameKind kind, std::uint64_t task);

  /// The exit statuses of a worker that cannot go on. 0 is a worker that was told to end.
  static constexpr int lost_channel = 113;
  static constexpr int corrupt_channel = 114;
  static constexpr int out_of_memory = 115;

 private:
  void check_that_it_is_ours() const noexcept;
  [[nodiscard]] bool socket_is_quiet() const noexcept;
  void wait_for(short events) const noexcept;
  bool take(const RingMessage& message) noexcept;
  bool receive_frame(Frame& frame);
  bool fill();
  [[nodiscard]] bool closed() const noexcept;
  bool sleep();
  bool wait_for_request();
  [[nodiscard]] bool spin();
  [[nodiscard]] bool has_to_ring_for_results() const noexcept {
    // F4's load. The flag first: the index, which the pool has written, is mostly farther away.
    return block_.pool_listens.load(std::memory_order_seq_cst) == 1 && !results_.all_consumed();
  }
  void ring_for_results();

  /// So many turns (under a microsecond) a result may lie before the pool is told.
  static constexpr int turns_before_bell = 12;
  static_assert(turns_before_bell < ActiveWait::turns_alone);
  /// So many turns one that has just been woken up waits for the pool to read its first result.
  static constexpr int turns_when_woken = 1;
  /// So many times it does not give the processor away after others kept it for long.
  static constexpr int waits_when_crowded = 64;
  /// A task as short as this has hardly called the system.
  static constexpr std::uint64_t too_short_for_harm = 2 * os::ticks_in_a_microsecond;

  os::KeptDescriptor socket_;
  os::KeptDescriptor bell_;
  std::uint64_t received_ = 0;  // when the task began, in ticks
  bool waited_ = true;          // since the one before
  bool woken_ = false;          // and has not waited since
  os::ProcessMark here_;
  FrameAssembler assembler_;
  const Arena* arena_;                 // null: there is none
  std::span<std::byte> request_area_;  // of the task that was received, until it is read
  WorkerAreas areas_;
  SharedBlock& block_;
  RingReader requests_;
  RingWriter results_;
  std::size_t sent_bytes_ = 0;  // by the last result, which the pool has to read first
  int most_turns_;
  int turns_;        // fewer after spinning in vain
  int crowded_ = 0;  // waits_when_crowded, and less with each
};

/// What the exit status of a worker means beyond its number; null if nothing.
inline const char* explain_exit_status(int status) noexcept {
  switch (status) {
    case WorkerChannel::lost_channel:
      return "the task closed the worker's channel to the pool, or forked and returned twice";
    case WorkerChannel::corrupt_channel:
      return "the worker received something that is no message of the pool";
    case WorkerChannel::out_of_memory:
      return "the worker had no memory for the arguments of a task";
    default:
      return nullptr;
  }
}

// Implementation

inline void PoolChannel::append(FrameKind kind, std::uint64_t ticket,
                                std::span<const std::byte> payload) noexcept {
  std::byte* const room = requests_.reserve(payload.size());
  if (!payload.empty()) std::memcpy(room, payload.data(), payload.size());
  if (kind == FrameKind::revocable_task) {
    // T1 relaxed: W3 publishes it
    block().slot(ticket).store(SharedBlock::word(ticket, SharedBlock::Slot::queued),
                               std::memory_order_relaxed);
  }
  requests_.append(static_cast<std::uint32_t>(kind), ticket, payload.size());
}

inline void PoolChannel::send(ByteBuffer& request, std::uint64_t ticket, const Arena* arena) {
  const std::span<const std::byte> payload = request.bytes().subspan(header_size);
  if (is_small(request)) return put(FrameKind::task, ticket, payload);
  if (request.lent()) {
    const RequestArea area{arena->message_of(payload), request.capacity() - header_size};
    return put(FrameKind::area_task, ticket, std::as_bytes(std::span(&area, 1)));
  }
  finish_frame(request, FrameKind::task, ticket);
  unsent_.push_back(std::move(request));  // first what may throw
  put(FrameKind::large_task, ticket, {});
}

inline void PoolChannel::append_revocable(const ByteBuffer& request,
                                          std::uint64_t ticket) noexcept {
  append(FrameKind::revocable_task, ticket, request.bytes().subspan(header_size));
}

inline void PoolChannel::pump_out() noexcept {
  while (!unsent_.empty()) {
    const ByteBuffer& first = unsent_.front();
    const ssize_t sent = ::send(socket_.number(), first.data() + sent_of_first_,
                                first.size() - sent_of_first_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      unsent_.clear();  // nobody reads it any more; receiving will find that out
      sent_of_first_ = 0;
      return;
    }
    sent_of_first_ += static_cast<std::size_t>(sent);
    if (sent_of_first_ < first.size()) continue;
    unsent_.pop_front();
    sent_of_first_ = 0;
  }
}

template <class Receive>
PoolChannel::Status PoolChannel::pump_in(Receive&& receive, bool drain) {
  for (int turn = 0; drain || turn < receives_at_a_time; ++turn) {
    const std::span<std::byte> room = assembler_.room();
    const ssize_t got = ::recv(socket_.number(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Status::open;
      return Status::closed;  // ECONNRESET: it died without reading all that was sent
    }
    if (got == 0) return Status::closed;
    assembler_.filled(static_cast<std::size_t>(got));
    Frame frame;
    FrameAssembler::Result result{};
    while ((result = assembler_.next(frame)) == FrameAssembler::Result::frame) receive(frame);
    if (result == FrameAssembler::Result::corrupt) return Status::corrupt;
    if (static_cast<std::size_t>(got) < room.size() && !drain) return Status::open;
  }
  return Status::open;
}

inline WorkerChannel::WorkerChannel(os::Descriptor socket, os::Descriptor bell, SharedBlock& block,
                                    const Arena* arena, int spin) noexcept
    : socket_(std::move(socket)),
      bell_(std::move(bell)),
      arena_(arena),
      areas_(arena, here_),
      block_(block),
      requests_(block.requests, block.request_bytes, SharedBlock::ring_capacity),
      results_(block.results, block.result_bytes, SharedBlock::ring_capacity),
      most_turns_(spin),
      turns_(spin) {
  const int wanted = 1 << 20;
  ::setsockopt(socket_.number(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
}

inline void WorkerChannel::check_that_it_is_ours() const noexcept {
  if (!here_.is_here() || !socket_.is_there()) ::_exit(lost_channel);
}

/// Whether the pool has read all that was written to the socket.
inline bool WorkerChannel::socket_is_quiet() const noexcept {
  int unread = 0;
  return ::ioctl(socket_.number(), SIOCOUTQ, &unread) == 0 && unread == 0;
}

// For a task that has made the socket non-blocking.
inline void WorkerChannel::wait_for(short events) const noexcept {
  pollfd entry{socket_.number(), events, 0};
  ::poll(&entry, 1, -1);
}

inline bool WorkerChannel::receive(Frame& frame) {
  for (;;) {
    forget();
    areas_.forget_request();
    RingMessage message;
    switch (requests_.next(message)) {
      case RingReader::Result::message:
        // The task may take long, so that results should be on their way before.
        ring_for_results();
        if (!take(message)) continue;
        switch (static_cast<FrameKind>(message.kind)) {
          case FrameKind::result_area: {
            AreaMessage area;
            std::memcpy(&area, message.payload.data(), sizeof area);
            areas_.grant(arena_->bytes_of(area));
            continue;
          }
          case FrameKind::leave:
            return false;
          case FrameKind::large_task:
            if (!receive_frame(frame)) return false;
            if (frame.kind != FrameKind::task || frame.task != message.tag) {
              ::_exit(corrupt_channel);
            }
            break;
          case FrameKind::area_task: {
            RequestArea area;
            std::memcpy(&area, message.payload.data(), sizeof area);
            request_area_ = arena_->bytes_of({area.message.offset, area.capacity});
            frame = {FrameKind::task, message.tag, arena_->bytes_of(area.message)};
            break;
          }
          default:
            frame = {FrameKind::task, message.tag, message.payload};
        }
        if (waited_) received_ = os::cpu_ticks();
        waited_ = false;
        return true;
      case RingReader::Result::empty:
        if (!wait_for_request()) return false;
        break;
      case RingReader::Result::corrupt:
        ::_exit(corrupt_channel);
    }
  }
}

/// False: it was revoked.
inline bool WorkerChannel::take(const RingMessage& message) noexcept {
  if (message.kind != static_cast<std::uint32_t>(FrameKind::revocable_task)) return true;
  std::atomic<std::uint64_t>& slot = block_.slot(message.tag);
  std::uint64_t queued = SharedBlock::word(message.tag, SharedBlock::Slot::queued);
  // T2 acq_rel: see SharedBlock
  if (slot.compare_exchange_strong(queued, SharedBlock::word(message.tag, SharedBlock::Slot::taken),
                                   std::memory_order_acq_rel, std::memory_order_relaxed)) {
    return true;
  }
  // T4 release: nothing but the slot is handed back by it
  slot.store(SharedBlock::word(message.tag, SharedBlock::Slot::skipped), std::memory_order_release);
  return false;
}

/// The next frame from the socket. False: the pool has closed its end.
inline bool WorkerChannel::receive_frame(Frame& frame) {
  check_that_it_is_ours();
  for (;;) {
    switch (assembler_.next(frame)) {
      case FrameAssembler::Result::frame:
        return true;
      case FrameAssembler::Result::corrupt:
        ::_exit(corrupt_channel);
      case FrameAssembler::Result::incomplete:
        if (!fill()) return false;
        break;
    }
  }
}

/// Waits for bytes from the socket. False: it is closed.
inline bool WorkerChannel::fill() {
  for (;;) {
    const std::span<std::byte> room = assembler_.room();
    const ssize_t got = ::recv(socket_.number(), room.data(), room.size(), 0);
    if (got > 0) {
      assembler_.filled(static_cast<std::size_t>(got));
      return true;
    }
    if (got == 0 || errno == ECONNRESET) return false;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for(POLLIN);
    } else if (errno != EINTR) {
      ::_exit(lost_channel);
    }
  }
}

/// Whether the pool has closed its end of the socket. What else may be there stays there.
inline bool WorkerChannel::closed() const noexcept {
  std::byte first{};
  const ssize_t got = ::recv(socket_.number(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

/// Returns when there may be a request. False: the pool has closed its end.
inline bool WorkerChannel::wait_for_request() {
  waited_ = true;
  if (spin()) return true;
  ring_for_results();
  check_that_it_is_ours();
  if (!bell_.is_there()) ::_exit(lost_channel);
  block_.worker_sleeps.store(1, std::memory_order_seq_cst);     // F1
  const bool awake = requests_.has_more();                      // F2
  const bool open = awake || sleep();                           // F3
  block_.worker_sleeps.exchange(0, std::memory_order_seq_cst);  // F5
  woken_ = !awake;
  return open && (requests_.has_more() || !closed());
}

/// Sleeps until the bell rings, for a request or for the end of the channel. False: nobody can ring
/// it any more. If the pool dies while others have inherited its descriptors, its fork server kills
/// this worker, and if that dies, the system does. Whoever sleeps for long keeps little.
inline bool WorkerChannel::sleep() {
  constexpr std::chrono::seconds long_sleep{1};
  while (areas_.has_much() && !os::wait_readable(bell_.number(), long_sleep)) {
    if (results_.all_consumed()) areas_.give_up_pages();
  }
  return os::wait_for_bell(bell_.number());
}

/// True when there is a request. Spins less as long as it is in vain, and keeps the processor for
/// its short time where others would not give it back soon.
inline bool WorkerChannel::spin() {
  const bool crowded = crowded_ != 0;
  if (crowded) --crowded_;
  ActiveWait wait(crowded ? (std::min)(turns_, ActiveWait::turns_alone) : turns_, {}, sent_bytes_);
  const bool woken = std::exchange(woken_, false);
  bool found = false;
  do {
    found = requests_.has_more();
    if (found) break;
    // Who has woken it may be behind it on the same processor.
    if (woken && !crowded && wait.turns() == turns_when_woken && !results_.all_consumed()) {
      wait.give_way();
    }
    if (wait.turns() == turns_before_bell) {
      // Who has woken this worker may be about to look, on this very processor.
      if (!crowded && has_to_ring_for_results()) wait.give_way();
      ring_for_results();
    }
  } while (wait.turn());
  if (wait.crowded()) crowded_ = waits_when_crowded;
  turns_ =
      found ? most_turns_ : (std::max)(turns_ / 2, (std::min)(most_turns_, 2 * turns_before_bell));
  return found || requests_.has_more();
}

/// Wakes the pool if there are results that it has not fetched, and it is not looking for them. F4
inline void WorkerChannel::ring_for_results() {
  if (!has_to_ring_for_results() || !SharedBlock::has_to_ring(block_.pool_listens)) return;
  ByteBuffer bell;
  begin_frame(bell);
  send_frame(bell, FrameKind::wake, 0);
}

inline void WorkerChannel::send(ByteBuffer& frame, FrameKind kind, std::uint64_t task) {
  const std::size_t size = frame.size() - header_size;
  sent_bytes_ = size;
  if (!here_.is_here()) ::_exit(lost_channel);
  const bool in_arena = frame.lent() && kind == FrameKind::value;
  bool through_ring = in_arena || size <= SharedBlock::largest_message;
  const std::uint64_t now = os::cpu_ticks();
  // What lies in the ring already begins now.
  if (now - std::exchange(received_, now) >= too_short_for_harm) {
    check_that_it_is_ours();
    through_ring = through_ring && socket_is_quiet();
  }
  if (through_ring && in_arena) {
    const AreaMessage area = arena_->message_of(frame.bytes().subspan(header_size));
    if (std::byte* const room = results_.reserve(sizeof area)) {
      std::memcpy(room, &area, sizeof area);
      areas_.sent(frame.data(), frame.size());
      frame.leave();
      results_.append(static_cast<std::uint32_t>(FrameKind::area_value), task, sizeof area);
      results_.publish();
      return;
    }
    through_ring = false;
  }
  if (through_ring) {
    if (std::byte* const room = results_.reserve(size)) {
      if (size != 0) std::memcpy(room, frame.data() + header_size, size);
      results_.append(static_cast<std::uint32_t>(kind), task, size);
      results_.publish();
      if (frame.lent()) frame.clear();
      return;
    }
  }
  send_frame(frame, kind, task);
  if (frame.lent()) frame.clear();
}

inline void WorkerChannel::send_frame(ByteBuffer& frame, FrameKind kind, std::uint64_t task) {
  check_that_it_is_ours();
  finish_frame(frame, kind, task);
  for (std::size_t sent = 0; sent < frame.size();) {
    const ssize_t count =
        ::send(socket_.number(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for(POLLOUT);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      ::_exit(EXIT_SUCCESS);  // the pool has gone; nobody wants the result
    } else if (errno != EINTR) {
      ::_exit(lost_channel);
    }
  }
}

}  // namespace concurrent::futures::detail::process
