// expect: a future cannot hold an rvalue reference
// SPDX-License-Identifier: MIT
#include <concurrent/futures/future.hpp>

int main() {
#ifdef TWIN
  const concurrent::futures::Future<int> future;
#else
  const concurrent::futures::Future<int&&> future;
#endif
  return future.done() ? 1 : 0;
}
