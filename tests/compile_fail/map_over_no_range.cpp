// expect: everything after map's callable must be a range
// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>
#include <vector>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  pool.map([](int) {}, std::vector<int>{5}).wait();
#else
  pool.map([](int) {}, 5);
#endif
}
