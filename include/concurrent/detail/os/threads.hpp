// SPDX-License-Identifier: MIT
#pragma once

// Names of threads, as the operating system shows them (top -H, gdb, /proc/*/task/*/comm).

#include <cstddef>
#include <cstdio>
#include <cstring>
#if defined(__linux__)
#include <pthread.h>
#endif

namespace concurrent::detail::os {

inline constexpr std::size_t thread_name_limit = 15;

/// `prefix_number`, cut to what the operating system shows. The prefix is cut, not the number:
/// fifteen characters of "ThreadPoolExecutor-0_7" would be the same for every thread.
[[gnu::noinline]] inline void write_thread_name(char (&name)[thread_name_limit + 1],
                                                const char* prefix, std::size_t number) noexcept {
  char suffix[24];  // room for any number
  std::snprintf(suffix, sizeof suffix, "_%zu", number);
  const std::size_t length = std::strlen(suffix);
  const std::size_t room = thread_name_limit > length ? thread_name_limit - length : 0;
  std::size_t end = 0;
  while (end < room && prefix[end] != '\0') name[end] = prefix[end], ++end;
  for (std::size_t i = 0; end < thread_name_limit && suffix[i] != '\0';) name[end++] = suffix[i++];
  name[end] = '\0';
}

/// Names the calling thread. Where the system has no such call, nothing happens.
inline void set_thread_name(const char* name) noexcept {
#if defined(__linux__)
  ::pthread_setname_np(::pthread_self(), name);
#else
  static_cast<void>(name);
#endif
}

}  // namespace concurrent::detail::os
