// SPDX-License-Identifier: MIT

// Pools with .max_pending.

#include <algorithm>
#include <atomic>
#include <concurrent/futures/thread_pool.hpp>
#include <latch>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"

using namespace concurrent::futures;

namespace {

ThreadPoolExecutor::Options bounded(std::size_t max_pending, WhenFull when_full) {
  return {.max_workers = 1, .max_pending = max_pending, .when_full = when_full};
}

}  // namespace

TEST_CASE("a bound of zero is refused") {
  CHECK_THROWS_AS(ThreadPoolExecutor({.max_pending = 0}), std::invalid_argument);
  CHECK_THROWS_WITH(ThreadPoolExecutor({.max_pending = 0}), "max_pending must be greater than 0");
}

TEST_CASE("a full pool throws QueueFullError and has accepted nothing") {
  ThreadPoolExecutor pool(bounded(2, WhenFull::throw_error));
  std::atomic<int> ran{0};
  const auto count = [&ran] { ++ran; };
  {
    const support::Occupied occupied(pool);  // what runs is not pending
    pool.post(count);
    const auto second = pool.submit(count);
    CHECK_THROWS_AS(pool.submit(count), QueueFullError);
    CHECK_THROWS_AS(pool.post(count), QueueFullError);
    CHECK_THROWS_AS(pool.submit(TaskOptions{.priority = 1}, count), QueueFullError);
    CHECK_THROWS_WITH(pool.submit(count), support::matchers::contains("2"));
    CHECK_FALSE(second.done());
  }
  CHECK(pool.wait_idle());
  CHECK(ran == 2);
  CHECK(pool.submit([] { return 1; }).result() == 1);  // there is room again
}

TEST_CASE("tasks with priorities count against the bound") {
  ThreadPoolExecutor pool(bounded(2, WhenFull::throw_error));
  const support::Occupied occupied(pool);
  static_cast<void>(pool.submit(TaskOptions{.priority = 1}, [] {}));
  static_cast<void>(pool.submit(TaskOptions{.priority = -1}, [] {}));
  CHECK_THROWS_AS(pool.submit([] {}), QueueFullError);
}

TEST_CASE("delayed tasks do not count against the bound before they are due") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::throw_error));
  std::vector<Future<void>> delayed;
  for (int i = 0; i < 5; ++i) {
    delayed.push_back(pool.submit(TaskOptions{.delay = std::chrono::hours(1)}, [] {}));
  }
  CHECK(pool.submit([] { return 1; }).result() == 1);
  for (auto& task : delayed) CHECK(task.cancel());
}

TEST_CASE("a full pool runs the task in the thread that submits it, if told so") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::run_in_caller));
  const support::Occupied occupied(pool);
  const auto where = [] { return std::this_thread::get_id(); };
  const auto queued = pool.submit(where);
  const auto here = pool.submit(where);
  REQUIRE(here.done());
  CHECK(here.result() == std::this_thread::get_id());
  bool posted = false;
  pool.post([&posted] { posted = true; });
  CHECK(posted);
  CHECK_FALSE(queued.done());
  occupied.release();
  CHECK(queued.result() != std::this_thread::get_id());
}

TEST_CASE("what throws in the submitting thread ends in its future, not in submit") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::run_in_caller));
  const support::Occupied occupied(pool);
  pool.post([] {});
  const auto failed = pool.submit([]() -> int { throw std::runtime_error("oops"); });
  CHECK_THROWS_WITH(failed.result(), "oops");
}

TEST_CASE("a full pool blocks the submitter until there is room") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::block));
  const support::Occupied occupied(pool);
  const auto first = pool.submit([] { return 1; });
  std::atomic<bool> accepted{false};
  Future<int> second;
  std::jthread submitter([&] {
    second = pool.submit([] { return 2; });
    accepted = true;
  });
  CHECK_THROWS_AS(first.result(std::chrono::milliseconds(5)), TimeoutError);
  CHECK_FALSE(accepted);
  occupied.release();
  submitter.join();
  CHECK(accepted);
  CHECK(second.result() == 2);
}

TEST_CASE("many submitters pass through a narrow queue, each in its order") {
  std::vector<std::pair<int, int>> order;
  {
    ThreadPoolExecutor pool(bounded(2, WhenFull::block));
    std::vector<std::jthread> submitters;
    for (int thread = 0; thread < 4; ++thread) {
      submitters.emplace_back([&pool, &order, thread] {
        for (int i = 0; i < 300; ++i) {
          pool.post([&order, thread, i] { order.emplace_back(thread, i); });
        }
      });
    }
    submitters.clear();
  }
  REQUIRE(order.size() == 1200);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("shutdown wakes a blocked submitter, which is refused") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::block));
  const support::Occupied occupied(pool);
  pool.post([] {});
  std::atomic<bool> refused{false};
  std::atomic<bool> about_to{false};
  std::jthread submitter([&] {
    about_to = true;
    try {
      pool.post([] {});
    } catch (const ShutdownError&) {
      refused = true;
    }
  });
  while (!about_to) std::this_thread::yield();
  pool.shutdown(false);
  submitter.join();
  CHECK(refused);
}

TEST_CASE("shutdown with cancel_futures wakes a blocked submitter too") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::block));
  const support::Occupied occupied(pool);
  const auto pending = pool.submit([] {});
  std::atomic<int> outcome{0};
  std::jthread submitter([&] {
    try {
      pool.post([] {});
      outcome = 1;
    } catch (const ShutdownError&) {
      outcome = 2;
    }
  });
  pool.shutdown(false, true);
  submitter.join();
  CHECK(outcome == 2);
  CHECK(pending.cancelled());
}

TEST_CASE("a cancelled task makes room once a worker has passed over it") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::block));
  const support::Occupied occupied(pool);
  auto pending = pool.submit([] {});
  CHECK(pending.cancel());
  occupied.release();
  CHECK(pool.submit([] { return 1; }).result() == 1);
}

TEST_CASE("a pool's own tasks always find room, lest the pool wait for itself") {
  for (const WhenFull policy : {WhenFull::block, WhenFull::throw_error, WhenFull::run_in_caller}) {
    ThreadPoolExecutor pool(bounded(1, policy));
    const auto task = pool.submit([&pool] {
      std::vector<Future<int>> inner;
      for (int i = 0; i < 20; ++i) inner.push_back(pool.submit([i] { return i; }));
      int sum = 0;
      for (const auto& one : inner) sum += one.result();
      return sum;
    });
    CHECK(task.result() == 190);
  }
}

TEST_CASE("map passes through a bounded pool") {
  ThreadPoolExecutor pool(bounded(3, WhenFull::block));
  std::vector<int> numbers(200);
  std::iota(numbers.begin(), numbers.end(), 0);
  CHECK(pool.map([](int value) { return value; }, numbers).to_vector() == numbers);
}

TEST_CASE("wait_idle and shutdown wait for a task that runs in its submitter's thread") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::run_in_caller));
  support::Gate gate;
  std::latch begun(1);
  {
    const support::Occupied occupied(pool);
    pool.post([] {});
    std::jthread submitter([&pool, &begun, at_gate = gate.waiter()] {
      pool.post([&begun, at_gate] {
        begun.count_down();
        at_gate();
      });
    });
    begun.wait();
    occupied.release();
    CHECK_FALSE(pool.wait_idle(std::chrono::milliseconds(2)));
    gate.open();
  }
  CHECK(pool.wait_idle());
}

TEST_CASE("a dependent task finds room when its futures are done") {
  ThreadPoolExecutor pool(bounded(1, WhenFull::throw_error));
  Future<int> argument;
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(pool.submit([](int value) { return value; }, argument));
  }
  argument.set_result(3);
  for (const auto& task : tasks) CHECK(task.result() == 3);
}
