// SPDX-License-Identifier: MIT
#pragma once

// The parts of <chrono>, <iterator> and <memory> that the library names: steady_clock and
// durations, iterator tags and concepts, unique_ptr and construct_at. libstdc++ declares them in
// what <thread> and <string> include anyway; its full headers bring streams, time zones and
// parallel algorithms along, which would cost every user a third of the time that the thread pool
// takes to compile.

#include <string>
#include <thread>
#if !defined(__GLIBCXX__)
#include <chrono>
#include <iterator>
#include <memory>
#endif
