// expect: the callable has state that cannot cross the process boundary
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <functional>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
#ifdef TWIN
  return executor.submit(std::negate<>(), 1).result();
#else
  return executor.submit(std::function<int(int)>(std::negate<>()), 1).result();
#endif
}
