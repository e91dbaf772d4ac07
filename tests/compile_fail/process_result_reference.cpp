// expect: the task returns a reference, which refers to nothing in another process: return a value
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>

int counter = 0;
#ifdef TWIN
int count() { return ++counter; }
#else
int& count() { return ++counter; }
#endif

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  return executor.submit(count).result();
}
