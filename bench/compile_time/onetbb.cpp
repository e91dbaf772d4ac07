// SPDX-License-Identifier: MIT
#include <oneapi/tbb/task_group.h>

int main() {
  int result = 0;
  tbb::task_group group;
  group.run([&result] { result = 1; });
  group.wait();
  return result - 1;
}
