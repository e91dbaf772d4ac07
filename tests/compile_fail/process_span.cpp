// expect: an argument is a view or a reference, which refers to nothing in another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <span>
#include <vector>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const std::vector<int> numbers{1, 2, 3};
  const auto first = [](const auto& range) { return range[0]; };
#ifdef TWIN
  return executor.submit(first, numbers).result();
#else
  return executor.submit(first, std::span(numbers)).result();
#endif
}
