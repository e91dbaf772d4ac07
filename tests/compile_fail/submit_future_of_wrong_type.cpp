// expect: callable_with_copies
// SPDX-License-Identifier: MIT
// A future as an argument stands for its value, which has to fit.
#include <concurrent/futures/thread_pool.hpp>
#include <string>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
#ifdef TWIN
  concurrent::futures::Future<int> argument;
#else
  concurrent::futures::Future<std::string> argument;
#endif
  auto task = pool.submit([](int value) { return value; }, argument);
  return task.done() ? 1 : 0;
}
