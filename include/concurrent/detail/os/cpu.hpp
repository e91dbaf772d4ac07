// SPDX-License-Identifier: MIT
#pragma once

// How many processors this process may use: the affinity mask and the control group's quota, not
// the machine. Python's counterpart is os.process_cpu_count(), which knows no quota.

#include <cstddef>
#include <thread>
#if defined(__linux__)
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
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

#if defined(__linux__)

inline std::string read_small_file(const char* path) {
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  std::string text(4096, '\0');
  ssize_t got = 0;
  do {
    got = ::read(descriptor, text.data(), text.size());
  } while (got < 0 && errno == EINTR);
  ::close(descriptor);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

/// Processors worth of time in "quota period" (both in microseconds), rounded up; 0: no limit.
inline std::size_t processors_of_quota(std::string_view cpu_max) {
  const std::string text(cpu_max);
  char* rest = nullptr;
  const long long quota = std::strtoll(text.c_str(), &rest, 10);
  if (rest == text.c_str() || quota <= 0) return 0;  // "max 100000", "-1", or nothing
  const long long period = std::strtoll(rest, nullptr, 10);
  if (period <= 0) return 0;
  return static_cast<std::size_t>((quota + period - 1) / period);
}

/// The tightest quota of this process's control group and of those above it; 0: no limit.
inline std::size_t quota_processors() {
  std::string_view path;
  const std::string groups = read_small_file("/proc/self/cgroup");
  if (const auto at = groups.find("0::"); at != std::string::npos) {
    path = std::string_view(groups).substr(at + 3);
    path = path.substr(0, path.find('\n'));
  }
  std::size_t least = 0;
  const auto consider = [&least](std::size_t processors) {
    if (processors != 0 && (least == 0 || processors < least)) least = processors;
  };
  for (;;) {
    const std::string file = "/sys/fs/cgroup" + std::string(path) + "/cpu.max";
    consider(processors_of_quota(read_small_file(file.c_str())));
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) break;
    path = path.substr(0, slash);
  }
  const std::string quota = read_small_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");  // version 1
  const std::string period = read_small_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (!quota.empty() && !period.empty()) consider(processors_of_quota(quota + ' ' + period));
  return least;
}

inline std::size_t affinity_processors() {
  cpu_set_t* set = nullptr;
  for (std::size_t count = 1024; count <= (std::size_t{1} << 20U); count *= 2) {
    set = CPU_ALLOC(count);
    if (set == nullptr) return 0;
    const std::size_t size = CPU_ALLOC_SIZE(count);
    if (::sched_getaffinity(0, size, set) == 0) {
      const int usable = CPU_COUNT_S(size, set);
      CPU_FREE(set);
      return static_cast<std::size_t>(usable);
    }
    CPU_FREE(set);
    if (errno != EINVAL) return 0;
  }
  return 0;
}

/// The number of processors that this process may use now; at least 1.
inline std::size_t usable_cpus() {
  std::size_t usable = affinity_processors();
  if (usable == 0) usable = std::thread::hardware_concurrency();
  if (const std::size_t quota = quota_processors(); quota != 0) usable = (std::min)(usable, quota);
  return usable != 0 ? usable : 1;
}

#else

inline std::size_t usable_cpus() {
  const std::size_t usable = std::thread::hardware_concurrency();
  return usable != 0 ? usable : 1;
}

#endif

}  // namespace concurrent::detail::os
