// SPDX-License-Identifier: MIT
#pragma once

// Names of threads, as the operating system shows them (top -H, gdb, /proc/*/task/*/comm).

#include <cstddef>
#include <string>
#if defined(__linux__)
#include <pthread.h>
#endif

namespace concurrent::detail::os {

/// `prefix_number`, cut to what the operating system shows. The prefix is cut, not the number:
/// fifteen characters of "ThreadPoolExecutor-0_7" would be the same for every thread.
inline std::string thread_name(const std::string& prefix, std::size_t number) {
  constexpr std::size_t limit = 15;
  std::string suffix = "_";
  suffix += std::to_string(number);  // "_" + makes g++ 12 warn at -O3 (its bug 105651)
  const std::size_t room = limit > suffix.size() ? limit - suffix.size() : 0;
  return prefix.substr(0, room) + suffix;
}

/// Names the calling thread. Where the system has no such call, nothing happens.
inline void set_thread_name(const std::string& name) noexcept {
#if defined(__linux__)
  ::pthread_setname_np(::pthread_self(), name.c_str());
#else
  static_cast<void>(name);
#endif
}

}  // namespace concurrent::detail::os
