// SPDX-License-Identifier: MIT
#pragma once

// Counts for tests that repeat something very often: fewer under a sanitiser, which makes
// everything ten times slower.

#include <cstddef>

namespace support {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// `count`, or a twentieth of it under a sanitiser.
constexpr std::size_t scaled(std::size_t count) {
  return sanitized && count > 20 ? count / 20 : count;
}

}  // namespace support
