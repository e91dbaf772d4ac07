// SPDX-License-Identifier: MIT
// std::async starts a thread a task, so it gets a fiftieth of the tasks.

#include <future>

#include "submit_get/submit_get.hpp"

namespace {

struct Async {
  template <class F>
  auto submit(F function) {
    return std::async(std::launch::async, function);
  }

  template <class T>
  static T get(std::future<T>& future) {
    return future.get();
  }
};

void one_producer(benchmark::State& state) {
  Async async;
  bench::report_submit_get(state, async, bench::config().scaled(20'000), 1);
}

[[maybe_unused]] const bool added =
    bench::add("T1/submit_get", "std::async", bench::Kind::peer, one_producer);

}  // namespace
