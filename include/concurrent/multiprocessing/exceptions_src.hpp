// SPDX-License-Identifier: MIT
#pragma once

// How exceptions are written and read, for one file of a program that compiles it separately (see
// separate_compilation.hpp); empty for others. Part of process_pool_src.hpp.

#if defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/multiprocessing/detail/standard_exceptions.hpp>
#endif
