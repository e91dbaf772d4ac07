// SPDX-License-Identifier: MIT

// The one file of a program that compiles what is behind the executors.
#include <concurrent/futures/process_pool_src.hpp>
#include <concurrent/futures/thread_pool_src.hpp>
