// SPDX-License-Identifier: MIT
#pragma once

// Asking for large pages where much memory is about to be filled for the first time. Nothing in
// Python, whose bytes and arrays take what malloc gives.

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>

namespace concurrent::detail::os {

/// Below this, asking costs more than it saves.
inline constexpr std::size_t worth_huge_pages = std::size_t{4} << 20U;

/// A hint, for memory that was allocated and not yet written to: its first touch costs a page fault
/// for 2 MiB rather than for 4 KiB (measured: a copy of 64 MiB to there took 25 ms instead of 44).
/// Where the system does not offer that, nothing happens.
inline void advise_huge_pages(void* begin, std::size_t size) noexcept {
#if defined(__linux__)
  constexpr std::uintptr_t huge_page = std::uintptr_t{2} << 20U;
  if (size < worth_huge_pages) return;
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t skipped = (huge_page - at % huge_page) % huge_page;
  const std::size_t whole = (size - skipped) / huge_page * huge_page;
  ::madvise(static_cast<std::byte*>(begin) + skipped, whole, MADV_HUGEPAGE);
#else
  static_cast<void>(begin);
  static_cast<void>(size);
#endif
}

/// Reserves room in an empty vector or string that is filled next.
template <class Container>
void reserve_for_filling(Container& container, std::size_t count) {
  container.reserve(count);
  if constexpr (requires { static_cast<void*>(container.data()); }) {  // vector<bool> has no such
    advise_huge_pages(container.data(), count * sizeof(typename Container::value_type));
  }
}

}  // namespace concurrent::detail::os
