// expect: a dropped future still runs; use post() for tasks whose outcome is not needed
// SPDX-License-Identifier: MIT
#pragma GCC diagnostic error "-Wunused-result"
#include <concurrent/futures/thread_pool.hpp>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  pool.post([] {});
#else
  pool.submit([] {});
#endif
}
