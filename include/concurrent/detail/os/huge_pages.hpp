// SPDX-License-Identifier: MIT
#pragma once

// Asking for large pages where much memory is about to be filled for the first time. Nothing in
// Python, whose bytes and arrays take what malloc gives.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace concurrent::detail::os {

/// Below this, asking costs more than it saves.
inline constexpr std::size_t worth_huge_pages = std::size_t{4} << 20U;

/// A hint, for memory that was allocated and not yet written to: its first touch costs a page fault
/// for 2 MiB rather than for 4 KiB (measured: 64 MiB in 20 ms instead of 60). Where the system does
/// not offer that, nothing happens.
inline void advise_huge_pages(void* begin, std::size_t size) noexcept {
  constexpr std::uintptr_t huge_page = std::uintptr_t{2} << 20U;
  if (size < worth_huge_pages) return;
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t skipped = (huge_page - at % huge_page) % huge_page;
  const std::size_t whole = (size - skipped) / huge_page * huge_page;
  ::madvise(static_cast<std::byte*>(begin) + skipped, whole, MADV_HUGEPAGE);
}

}  // namespace concurrent::detail::os
