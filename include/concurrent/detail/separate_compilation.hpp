// SPDX-License-Identifier: MIT
#pragma once

// Compiling the engines once for a whole program instead of in every file that uses them.
//
// Without further ado all of this library is in its headers. A program that defines
// CONCURRENT_SEPARATE_COMPILATION, for all of its files, gets the executors' declarations alone
// from them, and compiles what is behind these in one file of its own, by including there
//
//   <concurrent/futures/thread_pool_src.hpp>           if it uses thread pools,
//   <concurrent/futures/process_pool_src.hpp>          if it uses process pools,
//   <concurrent/multiprocessing/exceptions_src.hpp>    if it writes exceptions; the one above
//                                                      includes it, so only where that is not used.
//
// Without the macro these three are empty. A program that lacks one is told so by the linker.
// Define it for all files or for none: by the letter of the standard a function is inline
// everywhere or nowhere, although linkers take objects of both kinds together.

#if defined(CONCURRENT_SEPARATE_COMPILATION)
#define CONCURRENT_INLINE
#else
/// Before the definition of what may be compiled once.
#define CONCURRENT_INLINE inline
#endif
