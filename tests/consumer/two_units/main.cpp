// SPDX-License-Identifier: MIT

// Two translation units that include everything: a function that is not inline would clash here.
#include <cstdio>

#include "multiply.hpp"

int main() {
  concurrent::futures::ThreadPoolExecutor executor({.max_workers = 2});
  const auto future = multiply(executor, 6, 7);
  std::printf("6 * 7 = %d\n", future.result());
  return future.result() == 42 ? 0 : 1;
}
