// SPDX-License-Identifier: MIT

// What is behind the executors, where the tests have it compiled once.
#include <concurrent/futures/process_pool_src.hpp>
#include <concurrent/futures/thread_pool_src.hpp>
