// SPDX-License-Identifier: MIT
#pragma once

// Locks that a forked child must find free, although another thread of its parent held them.

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

namespace concurrent::futures::detail {

/// From now on, fork() takes the locks first and frees them afterwards, in the parent and in the
/// child. Where there is no fork, nothing happens. True, so that a static can be initialised by it.
inline bool before_fork(void (*lock)(), void (*unlock)()) noexcept {
#if __has_include(<pthread.h>)
  // It fails for lack of memory only; then a fork is as safe as it would be without this.
  static_cast<void>(::pthread_atfork(lock, unlock, unlock));
#else
  static_cast<void>(lock);
  static_cast<void>(unlock);
#endif
  return true;
}

}  // namespace concurrent::futures::detail
