// expect: map's callable must accept one element of each range
// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>
#include <vector>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
  const std::vector<int> numbers{1, 2};
#ifdef TWIN
  pool.map([](int, int) {}, numbers, numbers).wait();
#else
  pool.map([](int) {}, numbers, numbers);
#endif
}
