// expect: a map whose results are not looked at hides its exceptions
// SPDX-License-Identifier: MIT
#pragma GCC diagnostic error "-Wunused-result"
#include <concurrent/futures/thread_pool.hpp>
#include <vector>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
  const std::vector<int> numbers{1, 2};
#ifdef TWIN
  pool.map([](int) {}, numbers).wait();
#else
  pool.map([](int) {}, numbers);
#endif
}
