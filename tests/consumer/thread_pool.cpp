// SPDX-License-Identifier: MIT

// A user of threads alone.
#include <concurrent/futures/thread_pool.hpp>
#include <cstdio>

int main() {
  concurrent::futures::ThreadPoolExecutor executor({.max_workers = 2});
  const auto future = executor.submit([](int a, int b) { return a * b; }, 6, 7);
  std::printf("6 * 7 = %d\n", future.result());
  return future.result() == 42 ? 0 : 1;
}
