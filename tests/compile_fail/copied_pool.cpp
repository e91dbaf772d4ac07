// expect: delete
// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  concurrent::futures::ThreadPoolExecutor& other = pool;
#else
  concurrent::futures::ThreadPoolExecutor other = pool;
#endif
  other.shutdown();
}
