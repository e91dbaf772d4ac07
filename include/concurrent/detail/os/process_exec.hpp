// SPDX-License-Identifier: MIT
#pragma once

// Starting this very program anew. Counterpart: multiprocessing.spawn, which starts sys.executable.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace concurrent::detail::os {

/// In a child that is about to become another program; async-signal-safe, as is all here.
inline void close_range(unsigned first, unsigned last) noexcept {
  if (first > last) return;
#if defined(SYS_close_range)
  if (::syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
  constexpr rlim_t enough = 1U << 20U;  // a limit may be beyond all measure
  rlimit limit{};                       // before Linux 5.9
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (unsigned number = first; number <= last && number < (std::min)(limit.rlim_cur, enough);
       ++number) {
    ::close(static_cast<int>(number));
  }
}

/// In a fresh child: becomes this program from its beginning, with these arguments, and no
/// descriptors but the standard streams and `kept`. What is running counts, whatever lies at its
/// path now. Returns only when that fails, with an errno.
inline int run_this_program(char* const* arguments, int kept) noexcept {
  const auto number = static_cast<unsigned>(kept);
  close_range(STDERR_FILENO + 1, number - 1);
  close_range(number + 1, ~0U);
  ::fcntl(kept, F_SETFD, 0);
  ::execve("/proc/self/exe", arguments, ::environ);
  return errno;
}

}  // namespace concurrent::detail::os
