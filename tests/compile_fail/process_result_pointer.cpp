// expect: the task returns a pointer or a view, which refers to nothing in another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <string>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
#ifdef TWIN
  return static_cast<int>(executor.submit([] { return std::string("x"); }).result().size());
#else
  return *executor.submit([] { return "x"; }).result();
#endif
}
