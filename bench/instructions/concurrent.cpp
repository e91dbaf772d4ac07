// SPDX-License-Identifier: MIT
// Submits, runs and gets as many tasks as the argument says, on one worker, for a count of
// instructions: the difference between two runs divided by the difference of their arguments is the
// price of one task, free of start-up. See bench/README.md.
//
//   instructions_concurrent batch N    N tasks submitted while the worker is held, then all gotten
//   instructions_concurrent nested N   the same from a task of the pool, one after the other

#include <atomic>
#include <charconv>
#include <concurrent/futures/thread_pool.hpp>
#include <cstdio>
#include <string_view>
#include <vector>

namespace {

using concurrent::futures::Future;
using concurrent::futures::ThreadPoolExecutor;

std::size_t batch(std::size_t count) {
  ThreadPoolExecutor executor(std::size_t{1});
  std::atomic<bool> open{false};
  auto gate = executor.submit([&open] { open.wait(false); });
  std::vector<Future<std::size_t>> futures;
  futures.reserve(count);
  for (std::size_t i = 0; i < count; ++i) futures.push_back(executor.submit([i] { return i; }));
  open = true;
  open.notify_one();
  executor.submit([] {}).result();  // so that no get below has to wait
  std::size_t sum = 0;
  for (auto& future : futures) sum += std::move(future).result();
  gate.result();
  return sum;
}

std::size_t nested(std::size_t count) {
  ThreadPoolExecutor executor(std::size_t{1});
  auto outer = executor.submit([&executor, count] {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += executor.submit([i] { return i; }).result();
    return sum;
  });
  return std::move(outer).result();
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 0;
  const std::string_view mode = argc == 3 ? argv[1] : "";
  const std::string_view number = argc == 3 ? argv[2] : "";
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), count);
  if (count == 0 || parsed.ptr != number.data() + number.size() ||
      (mode != "batch" && mode != "nested")) {
    std::fprintf(stderr, "usage: %s batch|nested TASKS\n", argv[0]);
    return 2;
  }
  const auto sum = mode == "batch" ? batch(count) : nested(count);
  if (sum != count * (count - 1) / 2) {
    std::fprintf(stderr, "%s: wrong result\n", argv[0]);
    return 1;
  }
}
