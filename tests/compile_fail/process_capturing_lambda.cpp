// expect: a lambda must capture nothing, so pass the values as arguments
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const int factor = 3;
#ifdef TWIN
  return executor.submit([](int by, int x) { return by * x; }, factor, 2).result();
#else
  return executor.submit([factor](int x) { return factor * x; }, 2).result();
#endif
}
