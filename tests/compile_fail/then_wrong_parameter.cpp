// expect: a continuation is called with the future's value, or with nothing for void
// SPDX-License-Identifier: MIT
#include <concurrent/futures/future.hpp>

int main() {
  concurrent::futures::Future<int> future;
#ifdef TWIN
  const auto next = future.then([](int value) { return value; });
#else
  const auto next = future.then([](const char* value) { return value; });
#endif
  return next.done() ? 1 : 0;
}
