// expect: a lambda must capture nothing, so pass the values as arguments
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <vector>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const std::vector<int> numbers{1, 2, 3};
  int offset = 1;
  int sum = 0;
#ifdef TWIN
  sum += offset;
  for (const int x : executor.map([](int n) { return n + 1; }, numbers)) sum += x;
#else
  for (const int x : executor.map([&offset](int n) { return n + offset; }, numbers)) sum += x;
#endif
  return sum;
}
