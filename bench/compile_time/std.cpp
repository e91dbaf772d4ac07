// SPDX-License-Identifier: MIT
// The baseline: what every pool includes.
#include <future>
#include <thread>

int main() {
  std::packaged_task<int()> task([] { return 1; });
  auto future = task.get_future();
  std::jthread thread(std::move(task));
  return future.get() - 1;
}
