// expect: callable_with_copies
// SPDX-License-Identifier: MIT
// A future given as an lvalue only lends its value; to take it, give the future away.
#include <concurrent/futures/thread_pool.hpp>
#include <memory>
#include <utility>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
  concurrent::futures::Future<std::unique_ptr<int>> argument;
  const auto take = [](std::unique_ptr<int> value) { return *value; };
#ifdef TWIN
  auto task = pool.submit(take, std::move(argument));
#else
  auto task = pool.submit(take, argument);
#endif
  return task.done() ? 1 : 0;
}
