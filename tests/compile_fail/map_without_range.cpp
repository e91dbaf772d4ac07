// expect: map needs at least one range
// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>
#include <vector>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  pool.map([](int) {}, std::vector<int>()).wait();
#else
  pool.map([] {});
#endif
}
