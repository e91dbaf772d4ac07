// SPDX-License-Identifier: MIT
#pragma once

// How many processors this process may use: the affinity mask and the control group's quota, not
// the machine. Python's counterpart is os.process_cpu_count(), which knows no quota.

#include <concurrent/detail/standard.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#if defined(__linux__)
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#endif

namespace concurrent::detail::os {

/// One turn of a spinning wait: tells the core that this thread makes no progress.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// A clock for very short times, of no exact unit: cheaper than std::chrono's.
inline std::uint64_t cpu_ticks() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
#endif
}
/// Within a factor of two.
#if defined(__x86_64__) || defined(__i386__)
inline constexpr std::uint64_t ticks_in_a_microsecond = 2500;
#else
inline constexpr std::uint64_t ticks_in_a_microsecond = 1000;
#endif

/// Relaxes at least once, until 60 ns after `last`, and returns the ticks then. Turns of the core
/// take 14 ns on one processor and 50 on another; and a line that is looked at all the time does
/// not stay with the one who is to write to it.
inline std::uint64_t cpu_relax_since(std::uint64_t last) noexcept {
  constexpr std::uint64_t between_looks = 60 * ticks_in_a_microsecond / 1000;
  std::uint64_t now = 0;
  do {
    cpu_relax();
    now = cpu_ticks();
  } while (now - last < between_looks);
  return now;
}

/// Relaxes for about so many nanoseconds.
inline void cpu_relax_for(std::uint64_t nanoseconds) noexcept {
  const std::uint64_t begin = cpu_ticks();
  while (cpu_ticks() - begin < nanoseconds * ticks_in_a_microsecond / 1000) cpu_relax();
}

#if defined(__linux__)

/// Reads a file into a string of at most size - 1 characters; false if it cannot be read.
[[gnu::noinline]] inline bool read_small_file(const char* path, char* text,
                                              std::size_t size) noexcept {
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const ssize_t got = ::read(descriptor, text, size - 1);
  ::close(descriptor);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

/// "quota period", both in microseconds, as processors' worth of time, rounded up; 0: no limit.
[[gnu::cold]] inline std::size_t processors_of_quota(const char* text) noexcept {
  char* rest = nullptr;
  const long long quota = std::strtoll(text, &rest, 10);
  if (rest == text || quota <= 0) return 0;  // "max 100000", "-1", or nothing
  const long long period = std::strtoll(rest, nullptr, 10);
  return period > 0 ? static_cast<std::size_t>((quota + period - 1) / period) : 0;
}

/// The tightest quota of this process's control group and of those above it; 0: no limit.
[[gnu::noinline]] inline std::size_t quota_processors() noexcept {
  static constexpr char root[] = "/sys/fs/cgroup";
  char groups[4096] = {};
  char path[sizeof root + sizeof groups + sizeof "/cpu.max"] = {};
  std::memcpy(path, root, sizeof root);
  std::size_t end = sizeof root - 1;
  read_small_file("/proc/self/cgroup", groups, sizeof groups);
  if (const char* group = std::strstr(groups, "0::"); group != nullptr) {
    group += 3;
    const std::size_t length = std::strcspn(group, "\n");
    std::memcpy(path + end, group, length);
    end += length;
  }
  std::size_t least = 0;
  for (;;) {
    char limit[64] = {};
    std::memcpy(path + end, "/cpu.max", sizeof "/cpu.max");
    if (read_small_file(path, limit, sizeof limit)) {
      const std::size_t processors = processors_of_quota(limit);
      if (processors != 0 && (least == 0 || processors < least)) least = processors;
    }
    if (end <= sizeof root - 1) return least;
    while (end > sizeof root - 1 && path[end - 1] != '/') --end;
    if (end > sizeof root - 1) --end;  // the slash
  }
}

[[gnu::noinline]] inline std::size_t affinity_processors() noexcept {
  constexpr std::size_t most = 8192;
  alignas(cpu_set_t) unsigned char set[CPU_ALLOC_SIZE(most)] = {};
  auto* const processors = reinterpret_cast<cpu_set_t*>(set);
  if (::sched_getaffinity(0, sizeof set, processors) != 0) return 0;
  return static_cast<std::size_t>(CPU_COUNT_S(sizeof set, processors));
}

/// The number of processors that this process may use now; at least 1.
[[gnu::noinline]] inline std::size_t usable_cpus() noexcept {
  std::size_t usable = affinity_processors();
  if (usable == 0) usable = std::thread::hardware_concurrency();
  const std::size_t quota = quota_processors();
  if (quota != 0 && quota < usable) usable = quota;
  return usable != 0 ? usable : 1;
}

#else

inline std::size_t usable_cpus() noexcept {
  const std::size_t usable = std::thread::hardware_concurrency();
  return usable != 0 ? usable : 1;
}

#endif

}  // namespace concurrent::detail::os
