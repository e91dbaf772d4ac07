// expect: callable_with_copies
// SPDX-License-Identifier: MIT
// A task gets copies; what is to be a reference is passed by std::ref.
#include <concurrent/futures/thread_pool.hpp>
#include <functional>

int main() {
  concurrent::futures::ThreadPoolExecutor pool(1);
  int number = 0;
#ifdef TWIN
  pool.submit([](int& value) { ++value; }, std::ref(number)).result();
#else
  pool.submit([](int& value) { ++value; }, number).result();
#endif
  return number;
}
