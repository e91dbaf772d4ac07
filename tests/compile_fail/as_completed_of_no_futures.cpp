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
  for ([[maybe_unused]] auto& future : concurrent::futures::as_completed(futures)) return 1;
}
