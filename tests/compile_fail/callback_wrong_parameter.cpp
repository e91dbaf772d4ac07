// expect: a done-callback is called with the future itself: callback(Future<T>)
// SPDX-License-Identifier: MIT
#include <concurrent/futures/future.hpp>

int main() {
  using concurrent::futures::Future;
  Future<int> future;
#ifdef TWIN
  future.add_done_callback([](const Future<int>&) {});
#else
  future.add_done_callback([](int) {});
#endif
}
