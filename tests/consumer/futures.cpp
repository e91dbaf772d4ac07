// SPDX-License-Identifier: MIT

// A user of all of concurrent.futures: the same task in a thread and in a process.
#include <concurrent/futures.hpp>
#include <cstdio>

int main() {
  const auto multiply = [](int a, int b) { return a * b; };
  concurrent::futures::ThreadPoolExecutor threads({.max_workers = 2});
  concurrent::futures::ProcessPoolExecutor processes({.max_workers = 2});
  const auto from_thread = threads.submit(multiply, 6, 7);
  const auto from_process = processes.submit(multiply, 6, 7);
  std::printf("6 * 7 = %d = %d\n", from_thread.result(), from_process.result());
  return from_thread.result() == 42 && from_process.result() == 42 ? 0 : 1;
}
