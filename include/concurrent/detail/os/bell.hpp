// SPDX-License-Identifier: MIT
#pragma once

// What wakes a process that sleeps, and shows it the end of who could. Nothing in Python.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <cstdio>
#include <utility>

namespace concurrent::detail::os {

/// The end of a bell that is rung: of a pipe, which costs half of what a socket does.
class BellRope {
 public:
  BellRope() = default;
  BellRope(Descriptor end, Descriptor keeper) : end_(std::move(end)), keeper_(std::move(keeper)) {}

  /// Never waits. A bell that has rung often enough to be full wakes the sleeper, too.
  void ring() const noexcept {
    while (::write(end_.number(), "", 1) < 0 && errno == EINTR) {
    }
  }

  /// For who gives it to another process; the second may be none.
  [[nodiscard]] Descriptor& end() noexcept { return end_; }
  [[nodiscard]] Descriptor& keeper() noexcept { return keeper_; }

 private:
  // Writing to a pipe that nobody can read raises SIGPIPE, so who can ring can read it as well: by
  // the same descriptor, or by one more where the system does not make such.
  Descriptor end_;
  Descriptor keeper_;
};

struct Bell {
  Descriptor heard;  // to sleep on
  BellRope rope;
};

/// Closed on exec. @throws std::system_error
inline Bell make_bell() {
  DescriptorRegistry& registry = DescriptorRegistry::instance();
  const auto lock = registry.lock();
  registry.reserve(3);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "cannot make a pipe");
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "/proc/self/fd/%d", ends[1]);
  const int both = ::open(name.data(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  int keeper = -1;
  if (both >= 0) {
    ::close(std::exchange(ends[1], both));
  } else {
    if (::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0) keeper = ::fcntl(ends[0], F_DUPFD_CLOEXEC, 3);
    if (keeper < 0) {
      const int error = errno;
      for (const int end : ends) ::close(end);
      throw_errno(error, "cannot set up a pipe");
    }
  }
  Descriptor heard = Descriptor::adopt(ends[0]);
  Descriptor end = Descriptor::adopt(ends[1]);
  return {std::move(heard), BellRope(std::move(end), Descriptor::adopt(keeper))};
}

/// Sleeps until the bell is rung, or has been since the last time. False: nobody can ring it any
/// more, or it is no bell.
inline bool wait_for_bell(int heard) noexcept {
  for (;;) {
    std::array<char, 16> rung{};
    const ssize_t got = ::read(heard, rung.data(), rung.size());
    if (got >= 0) return got > 0;
    if (errno == EAGAIN) {  // somebody has made it non-blocking
      pollfd entry{heard, POLLIN, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
}

}  // namespace concurrent::detail::os
