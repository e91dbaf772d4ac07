// SPDX-License-Identifier: MIT
#pragma once

// Catch2, version 2 or 3: whichever is installed. Every test includes this and nothing else of
// Catch2. Write tests that both accept: REQUIRE, CHECK, REQUIRE_THROWS_AS, REQUIRE_THROWS_WITH,
// SECTION, GENERATE, TEMPLATE_TEST_CASE, and matchers by the names of version 2 that are listed
// below.
//
// Assertions are for the main thread only: version 2 keeps its counters without a lock.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#define CATCH_CONFIG_ENABLE_ALL_STRINGMAKERS
#include <catch2/catch.hpp>
#endif

namespace support {

/// Matchers under one name for both versions.
namespace matchers {
#if __has_include(<catch2/catch_all.hpp>)
inline auto contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#else
inline auto contains(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif
inline auto equals(const std::string& text) { return Catch::Matchers::Equals(text); }
inline auto starts_with(const std::string& text) { return Catch::Matchers::StartsWith(text); }
inline auto ends_with(const std::string& text) { return Catch::Matchers::EndsWith(text); }
}  // namespace matchers

}  // namespace support
