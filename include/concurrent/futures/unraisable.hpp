// SPDX-License-Identifier: MIT
#pragma once

// Where exceptions go that nobody can catch: those of done-callbacks and of posted tasks.
// Counterpart: sys.unraisablehook.

#include <concurrent/futures/detail/shared_callable.hpp>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>

namespace concurrent::futures {

/// What set_unraisable_hook takes: any copyable callable of `(std::exception_ptr error,
/// std::string_view where)`.
using UnraisableHook = detail::SharedCallable<void(std::exception_ptr, std::string_view)>;

namespace detail {

struct UnraisableSlot {
  std::mutex mutex;
  UnraisableHook hook;  // empty: the default, which prints
};

inline UnraisableSlot& unraisable_slot() {
  // Never destroyed: the workers of static pools may report during the program's exit.
  static auto* const slot = new UnraisableSlot;
  return *slot;
}

inline void print_unraisable(const std::exception_ptr& error, std::string_view where) noexcept {
  const auto length = static_cast<int>(where.size());
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "Exception ignored in %.*s: %s\n", length, where.data(), exception.what());
  } catch (...) {
    std::fprintf(stderr, "Exception ignored in %.*s: not derived from std::exception\n", length,
                 where.data());
  }
}

}  // namespace detail

/// Sets what is called with each exception that nobody can catch, and returns what was set before.
/// `where` says in words what threw. An empty hook brings back the default, which prints one line
/// to stderr.
///
/// The hook is called in the thread where the exception appeared, under no lock. What it throws
/// itself is printed, as by the default.
///
/// **Thread safety** May be called at any time from any thread; a report that is under way still
/// uses the hook before.
/// **Python** sys.unraisablehook, which is assigned instead.
inline UnraisableHook set_unraisable_hook(UnraisableHook hook) {
  detail::UnraisableSlot& slot = detail::unraisable_slot();
  const std::scoped_lock lock(slot.mutex);
  return std::exchange(slot.hook, std::move(hook));
}

/// Hands an exception that nobody can catch to the hook. For executors of your own.
inline void report_unraisable(const std::exception_ptr& error, std::string_view where) noexcept {
  UnraisableHook hook;
  {
    detail::UnraisableSlot& slot = detail::unraisable_slot();
    const std::scoped_lock lock(slot.mutex);
    hook = slot.hook;
  }
  if (!hook) {
    detail::print_unraisable(error, where);
    return;
  }
  try {
    hook(error, where);
  } catch (...) {
    detail::print_unraisable(error, where);
    detail::print_unraisable(std::current_exception(), "the unraisable hook");
  }
}

}  // namespace concurrent::futures
