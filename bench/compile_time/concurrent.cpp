// SPDX-License-Identifier: MIT
#include <concurrent/futures/thread_pool.hpp>

int main() {
  concurrent::futures::ThreadPoolExecutor executor;
  auto future = executor.submit([] { return 1; });
  return future.result() - 1;
}
