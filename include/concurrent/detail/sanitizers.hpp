// SPDX-License-Identifier: MIT
#pragma once

// Whether the program is compiled with a sanitizer that must see every allocation or access.

namespace concurrent::detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_address_sanitizer = true;
inline constexpr bool under_sanitizer = true;
#elif defined(__SANITIZE_THREAD__)
inline constexpr bool under_address_sanitizer = false;
inline constexpr bool under_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_address_sanitizer = __has_feature(address_sanitizer);
inline constexpr bool under_sanitizer =
    under_address_sanitizer || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer);
#else
inline constexpr bool under_address_sanitizer = false;
inline constexpr bool under_sanitizer = false;
#endif

}  // namespace concurrent::detail
