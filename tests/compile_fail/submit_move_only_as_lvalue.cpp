// expect: callable_with_copies
// SPDX-License-Identifier: MIT
// What cannot be copied has to be moved in.
#include <concurrent/futures/thread_pool.hpp>
#include <memory>
#include <utility>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
  auto pointer = std::make_unique<int>(0);
#ifdef TWIN
  return pool.submit([](std::unique_ptr<int> value) { return *value; }, std::move(pointer))
      .result();
#else
  return pool.submit([](std::unique_ptr<int> value) { return *value; }, pointer).result();
#endif
}
