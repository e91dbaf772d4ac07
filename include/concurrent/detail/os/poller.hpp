// SPDX-License-Identifier: MIT
#pragma once

// Sleeping until one of many descriptors is ready, or until another thread calls.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace concurrent::detail::os {

/// Any number of descriptors, each known by a key of the caller's. **Thread safety** none, but
/// descriptors may be added and removed while another thread waits.
class Poller {
 public:
  Poller()
      : epoll_(Descriptor::open("cannot make an epoll descriptor",
                                [] { return ::epoll_create1(EPOLL_CLOEXEC); })) {}

  /// @throws std::system_error
  void add(int descriptor, std::uint64_t key, std::uint32_t events = EPOLLIN) {
    if (!control(EPOLL_CTL_ADD, descriptor, key, events)) {
      throw_errno(errno, "cannot watch a descriptor");
    }
  }
  void change(int descriptor, std::uint64_t key, std::uint32_t events) noexcept {
    control(EPOLL_CTL_MOD, descriptor, key, events);
  }
  /// Before the descriptor is closed: another process may have it open still.
  void remove(int descriptor) noexcept { control(EPOLL_CTL_DEL, descriptor, 0, 0); }

  /// Waits until something is ready or the deadline has passed. Gives what is ready; nothing also
  /// when a signal came.
  std::span<const epoll_event> wait(Deadline deadline) noexcept {
    const int count = wait_for_events(deadline);
    return {ready_.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  }

 private:
  bool control(int operation, int descriptor, std::uint64_t key, std::uint32_t events) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    return ::epoll_ctl(epoll_.number(), operation, descriptor, &event) == 0;
  }

  int wait_for_events(Deadline deadline) noexcept {
    const auto room = static_cast<int>(ready_.size());
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
    if (fine_grained_ && !deadline.never()) {
      const auto left =
          (std::max)(deadline.at() - Deadline::Clock::now(), Deadline::Clock::duration(0));
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      timespec time{};
      time.tv_sec = static_cast<decltype(time.tv_sec)>(seconds.count());
      time.tv_nsec = static_cast<decltype(time.tv_nsec)>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(left - seconds).count());
      const int count = ::epoll_pwait2(epoll_.number(), ready_.data(), room, &time, nullptr);
      if (count >= 0 || errno != ENOSYS) return count;
      fine_grained_ = false;
    }
#endif
    return ::epoll_wait(epoll_.number(), ready_.data(), room, left(deadline));
  }

  /// Milliseconds, rounded up, so that the deadline has passed when they are over.
  static int left(Deadline deadline) noexcept {
    if (deadline.never()) return -1;
    const auto now = Deadline::Clock::now();
    if (deadline.at() <= now) return 0;
    const auto length = std::chrono::ceil<std::chrono::milliseconds>(deadline.at() - now).count();
    return static_cast<int>(std::min<std::int64_t>(length, (std::numeric_limits<int>::max)()));
  }

  Descriptor epoll_;
  std::array<epoll_event, 64> ready_{};
  bool fine_grained_ = true;  // until the system says that it has only milliseconds
};

/// Wakes a poller from another thread; calls that come before the waiter has looked are one.
///
/// Protocol   call   W1 exchange called -> true; if it was false: write the eventfd
///            answer W2 read the eventfd, then store called = false, then look for work
/// Pairing    W1(acq_rel) and W2(acq_rel exchange): who finds `called` true gave its work before
///            the waiter looks, because the waiter looks after it has set it to false.
class Alarm {
 public:
  Alarm()
      : event_(Descriptor::open("cannot make an eventfd",
                                [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })) {}

  [[nodiscard]] int descriptor() const noexcept { return event_.number(); }

  void call() noexcept {
    if (called_.exchange(true, std::memory_order_acq_rel)) return;  // W1
    const std::uint64_t one = 1;
    while (::write(event_.number(), &one, sizeof one) < 0 && errno == EINTR) {
    }
  }
  void answer() noexcept {
    std::uint64_t count = 0;
    static_cast<void>(::read(event_.number(), &count, sizeof count));
    called_.exchange(false, std::memory_order_acq_rel);  // W2
  }

 private:
  Descriptor event_;
  std::atomic<bool> called_ = false;
};

}  // namespace concurrent::detail::os
