// expect: callable_with_copies
// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  return pool.submit([](int value) { return value; }, 0).result();
#else
  return pool.submit([](int value) { return value; }, "text").result();
#endif
}
