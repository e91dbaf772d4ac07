// expect: set_result
// SPDX-License-Identifier: MIT
#include <concurrent/futures/future.hpp>

int main() {
  concurrent::futures::Future<int> future;
#ifdef TWIN
  future.set_result(1);
#else
  future.set_result("text");
#endif
}
