// SPDX-License-Identifier: MIT
#pragma once

// What is behind ProcessPoolExecutor, for one file of a program that compiles it separately (see
// separate_compilation.hpp); empty for others.

#if defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/futures/detail/process/engine_callers.hpp>
#include <concurrent/futures/detail/process/engine_manager.hpp>
#include <concurrent/futures/detail/process/engine_tasks.hpp>
#include <concurrent/futures/detail/process/engine_workers.hpp>
#include <concurrent/multiprocessing/exceptions_src.hpp>
#endif
