// SPDX-License-Identifier: MIT
#pragma once

// The channel between the pool and one worker: a socket pair of its own, so that no worker shares
// anything with another. This file is all that knows how bytes travel.

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/futures/detail/process/frame.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <utility>

namespace concurrent::futures::detail::process {

namespace os = concurrent::detail::os;

/// The pool's end. Never waits: what cannot be sent now is kept, and the owner pumps both
/// directions whenever the descriptor is ready, so that both may be full at once.
///
/// **Thread safety** none; the pool's manager thread owns it.
class PoolChannel {
 public:
  enum class Status {
    open,
    closed,   // the worker has closed its end, or has died; all whole frames were handed out
    corrupt,  // what came is no frame
  };

  PoolChannel() = default;
  explicit PoolChannel(os::Descriptor socket) : socket_(std::move(socket)) {
    const int wanted = 1 << 20;  // the system gives what it allows; less means more turns
    ::setsockopt(socket_.number(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  }

  [[nodiscard]] int descriptor() const noexcept { return socket_.number(); }
  /// Whether to wait until the descriptor can be written too.
  [[nodiscard]] bool has_unsent() const noexcept { return !unsent_.empty(); }
  /// True when the worker's end was closed in the middle of a frame.
  [[nodiscard]] bool torn() const noexcept { return assembler_.torn(); }

  void send(ByteBuffer frame) {
    unsent_.push_back(std::move(frame));
    pump_out();
  }

  void pump_out() noexcept;

  /// The worker sees the end of the channel, even if a child of this program has inherited it.
  void close() noexcept {
    ::shutdown(socket_.number(), SHUT_RDWR);
    *this = PoolChannel();
  }

  /// Receives what is there and calls `receive(const Frame&)` for each whole frame. Returns after a
  /// while in any case, so that no worker keeps the manager for itself; `drain` goes on to the end.
  template <class Receive>
  Status pump_in(Receive&& receive, bool drain = false);

 private:
  static constexpr int receives_at_a_time = 16;

  os::Descriptor socket_;
  std::deque<ByteBuffer> unsent_;
  std::size_t sent_of_first_ = 0;
  FrameAssembler assembler_;
};

/// The worker's end, which waits.
///
/// A task may close any descriptor, or fork; so before each use it is made sure that the descriptor
/// is still the channel and that this is still the worker.
class WorkerChannel {
 public:
  /// Moves the channel out of the way of tasks that close all descriptors up to 1024.
  explicit WorkerChannel(os::Descriptor socket) noexcept;

  /// Waits for the next frame. False: the pool has closed its end.
  bool receive(Frame& frame);
  /// The frame that was received last is not needed any more.
  void forget() noexcept { assembler_.forget_large(); }
  void send(ByteBuffer& frame, FrameKind kind, std::uint64_t task);

  /// The exit statuses of a worker that cannot go on. 0 is a worker that was told to end.
  static constexpr int lost_channel = 113;
  static constexpr int corrupt_channel = 114;
  static constexpr int out_of_memory = 115;

 private:
  void check_that_it_is_ours() const noexcept;
  void wait_for(short events) const noexcept;

  os::Descriptor socket_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  pid_t owner_;
  FrameAssembler assembler_;
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

inline WorkerChannel::WorkerChannel(os::Descriptor socket) noexcept
    : socket_(std::move(socket)), owner_(::getpid()) {
  constexpr rlim_t out_of_the_way = 1025;
  constexpr rlim_t margin = 16;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > margin) {
    const auto lowest = static_cast<int>((std::min)(out_of_the_way, limit.rlim_cur - margin));
    try {
      os::Descriptor moved = os::Descriptor::open("cannot move a channel", [this, lowest] {
        return ::fcntl(socket_.number(), F_DUPFD_CLOEXEC, lowest);
      });
      socket_ = std::move(moved);
    } catch (...) {  // no room: it stays where it is
    }
  }
  const int wanted = 1 << 20;
  ::setsockopt(socket_.number(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  struct stat identity {};
  if (::fstat(socket_.number(), &identity) == 0) {
    device_ = identity.st_dev;
    inode_ = identity.st_ino;
  }
}

inline void WorkerChannel::check_that_it_is_ours() const noexcept {
  struct stat identity {};
  const bool ours = ::getpid() == owner_ && ::fstat(socket_.number(), &identity) == 0 &&
                    identity.st_dev == device_ && identity.st_ino == inode_;
  if (!ours) ::_exit(lost_channel);
}

// For a task that has made the socket non-blocking.
inline void WorkerChannel::wait_for(short events) const noexcept {
  pollfd entry{socket_.number(), events, 0};
  ::poll(&entry, 1, -1);
}

inline bool WorkerChannel::receive(Frame& frame) {
  check_that_it_is_ours();
  for (;;) {
    switch (assembler_.next(frame)) {
      case FrameAssembler::Result::frame:
        return true;
      case FrameAssembler::Result::corrupt:
        ::_exit(corrupt_channel);
      case FrameAssembler::Result::incomplete:
        break;
    }
    const std::span<std::byte> room = assembler_.room();
    const ssize_t got = ::recv(socket_.number(), room.data(), room.size(), 0);
    if (got > 0) {
      assembler_.filled(static_cast<std::size_t>(got));
    } else if (got == 0 || errno == ECONNRESET) {
      return false;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for(POLLIN);
    } else if (errno != EINTR) {
      ::_exit(lost_channel);
    }
  }
}

inline void WorkerChannel::send(ByteBuffer& frame, FrameKind kind, std::uint64_t task) {
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
