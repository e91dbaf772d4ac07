// SPDX-License-Identifier: MIT
#pragma once

// Everything of concurrent::futures. Counterpart: the module concurrent.futures.

#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/executor.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/map_result.hpp>
#include <concurrent/futures/task_options.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/timeout.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <concurrent/futures/wait.hpp>
#if __has_include(<concurrent/futures/process_pool.hpp>)
#include <concurrent/futures/process_pool.hpp>
#endif
