// SPDX-License-Identifier: MIT

#include "multiply.hpp"

concurrent::futures::Future<int> multiply(concurrent::futures::ThreadPoolExecutor& executor, int a,
                                          int b) {
  return executor.submit([](int x, int y) { return x * y; }, a, b);
}
