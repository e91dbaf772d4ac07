// SPDX-License-Identifier: MIT
#pragma once

// A time limit for every test program, and proof that it leaves no process behind.
//
// The tests run in a child process; the process that was started watches it. That way the watchdog
// adds no thread, no signal handler and no timer to the program under test, and works when every
// thread of it is stuck. When a test case overruns its limit, the watcher prints the stacks of all
// threads of the program and of all processes that it started (with gdb; without gdb each thread
// prints its own), and ends them all with a failure.
//
// The watcher is also the one that inherits and reaps orphans (PR_SET_CHILD_SUBREAPER), so a
// process that outlives the test program is seen, named, killed and counted as a failure.

#include <functional>

namespace support {

/// Runs `program` in a watched child process and returns the exit status for `main`.
///
/// The limit is CONCURRENT_TEST_TIME_LIMIT seconds a test case, 300 by default; 0 runs the program
/// in this process without a watchdog (for debuggers).
int run_watched(const std::function<int()>& program);

/// Tells the watcher that the test case `name` begins now. `limit_seconds` = 0 means the default
/// limit.
void watch_test_case(const char* name, int limit_seconds);

}  // namespace support
