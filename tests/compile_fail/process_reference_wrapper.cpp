// expect: an argument is a view or a reference, which refers to nothing in another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <functional>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  int number = 1;
  const auto increment = [](int x) { return x + 1; };
#ifdef TWIN
  return executor.submit(increment, number).result();
#else
  return executor.submit(increment, std::ref(number)).result();
#endif
}
