// expect: range_of_futures
// SPDX-License-Identifier: MIT
#include <concurrent/futures/wait.hpp>
#include <vector>

int main() {
#ifdef TWIN
  const std::vector<concurrent::futures::Future<int>> futures;
#else
  const std::vector<int> futures;
#endif
  return concurrent::futures::wait(futures).done.empty() ? 0 : 1;
}
