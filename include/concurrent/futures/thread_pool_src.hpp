// SPDX-License-Identifier: MIT
#pragma once

// What is behind ThreadPoolExecutor, for one file of a program that compiles it separately (see
// separate_compilation.hpp); empty for others.

#if defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/futures/detail/thread_pool_engine.hpp>
#endif
