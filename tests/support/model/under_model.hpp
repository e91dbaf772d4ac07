// SPDX-License-Identifier: MIT
#pragma once

// Compiles the library's own headers, unchanged, against the model: include this first, then the
// headers under test, and speak of the library as usual.
//
// The library becomes the namespace concurrent_under_model, so that a test program may hold both.
// Within concurrent::futures, `std` is a namespace of that name in there, which has the model's
// atomic, mutex and thread and everything else from the real one; and `concurrent` has the model's
// futex, and a processor on which spinning is in vain. Nothing in the library knows about it.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/model/model.hpp"

#define concurrent concurrent_under_model

#include <concurrent/detail/os/cpu.hpp>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/detail/os/spin_wait.hpp>

namespace concurrent::futures::std {
using namespace ::std;
template <class T>
using atomic = ::model::atomic<T>;
using mutex = ::model::mutex;
using thread = ::model::thread;
namespace this_thread {
using namespace ::std::this_thread;
inline void yield() { ::model::yield(); }
}  // namespace this_thread
}  // namespace concurrent::futures::std

namespace concurrent::futures::concurrent {
using namespace ::concurrent_under_model;
namespace detail {
using namespace ::concurrent_under_model::detail;
namespace os {
using namespace ::concurrent_under_model::detail::os;
inline void cpu_relax() { ::model::yield(); }
inline ::std::size_t usable_cpus() { return 1; }
class SpinWait {
 public:
  using FirstYield = ::concurrent_under_model::detail::os::SpinWait::FirstYield;
  explicit SpinWait(FirstYield) {}
  static void note_wake_up() {}
  static bool turn() { return false; }
  static bool is_of_use() { return false; }
};
using Word = ::model::atomic<::std::uint32_t>;
inline void futex_wait(const Word& word, ::std::uint32_t expected, Deadline = {},
                       ::std::source_location place = ::std::source_location::current()) {
  ::model::futex_wait(word, expected, place);
}
inline void futex_wake_one(const Word& word,
                           ::std::source_location place = ::std::source_location::current()) {
  ::model::futex_wake(word, 1, place);
}
inline void futex_wake_all(const Word& word,
                           ::std::source_location place = ::std::source_location::current()) {
  ::model::futex_wake(word, ::model::max_threads, place);
}
}  // namespace os
}  // namespace detail
}  // namespace concurrent::futures::concurrent

// Every block from operator new: a failed execution leaves its threads where they are, so the next
// one must not meet a lock that outlives an execution; and AddressSanitizer should see each block.
#if !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1  // NOLINT
#include <concurrent/futures/detail/block_pool.hpp>
#undef __SANITIZE_ADDRESS__
#else
#include <concurrent/futures/detail/block_pool.hpp>
#endif
static_assert(concurrent::futures::detail::under_sanitizer);
