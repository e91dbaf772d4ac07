// expect: the driver of these tests reads this sentence
// SPDX-License-Identifier: MIT
#ifdef TWIN
constexpr bool twin = true;
#else
constexpr bool twin = false;
#endif

static_assert(twin, "the driver of these tests reads this sentence");
