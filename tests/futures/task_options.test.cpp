// SPDX-License-Identifier: MIT

// TaskOptions: names, priorities, tasks that start later.

#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

/// Submits tasks of these priorities to an occupied pool and gives the order in which they ran, by
/// their positions here.
std::vector<std::size_t> order_of(const std::vector<int>& priorities) {
  std::vector<std::size_t> order;
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    if (priorities[i] == 0) {
      pool.post([&order, i] { order.push_back(i); });
    } else {
      static_cast<void>(
          pool.submit(TaskOptions{.priority = priorities[i]}, [&order, i] { order.push_back(i); }));
    }
  }
  occupied.release();
  pool.shutdown();
  return order;
}

}  // namespace

TEST_CASE("a task with options runs with its arguments like any other") {
  ThreadPoolExecutor pool(1);
  const auto sum = [](int a, int b) { return a + b; };
  CHECK(pool.submit(TaskOptions{.name = "sum"}, sum, 1, 2).result() == 3);
  CHECK(pool.submit(TaskOptions{.priority = 5}, sum, 1, 2).result() == 3);
  CHECK(pool.submit(TaskOptions{.delay = 1ms}, sum, 1, 2).result() == 3);
  CHECK(pool.submit({}, sum, 1, 2).result() == 3);
}

TEST_CASE("higher priorities start first") {
  CHECK(order_of({1, 3, 2}) == std::vector<std::size_t>{1, 2, 0});
}

TEST_CASE("positive priorities start before tasks without options and negative ones after them") {
  CHECK(order_of({-1, 0, 1, 0, -2, 2}) == std::vector<std::size_t>{5, 2, 1, 3, 0, 4});
}

TEST_CASE("tasks of equal priority start in the order they were submitted") {
  CHECK(order_of({7, 7, 7, -3, -3, 7}) == std::vector<std::size_t>{0, 1, 2, 5, 3, 4});
}

TEST_CASE("the smallest and the greatest priority are priorities like others") {
  constexpr int least = std::numeric_limits<int>::min();
  constexpr int greatest = std::numeric_limits<int>::max();
  CHECK(order_of({least, 0, greatest, -1, 1}) == std::vector<std::size_t>{2, 4, 1, 3, 0});
}

TEST_CASE("a task with a priority that throws or is cancelled ends like any other") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  auto cancelled = pool.submit(TaskOptions{.priority = 2}, [] { return 1; });
  const auto failed =
      pool.submit(TaskOptions{.priority = -2}, []() -> int { throw std::runtime_error("oops"); });
  CHECK(cancelled.cancel());
  occupied.release();
  CHECK_THROWS_AS(cancelled.result(), CancelledError);
  CHECK_THROWS_WITH(failed.result(), "oops");
}

TEST_CASE("a worker can wait for a task with a priority of its own pool") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    const auto low = pool.submit(TaskOptions{.priority = -1}, [] { return 1; });
    const auto high = pool.submit(TaskOptions{.priority = 1}, [] { return 2; });
    return low.result() + high.result();
  });
  CHECK(task.result() == 3);
}

TEST_CASE("what a task submits with a higher priority runs before what was queued") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    pool.post([&] {
      static_cast<void>(pool.submit(TaskOptions{.priority = 1}, [&order] { order.push_back(1); }));
    });
    pool.post([&order] { order.push_back(2); });
    occupied.release();
    pool.wait_idle();
  }
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("a thread pool refuses a time limit for a task, as a thread cannot be killed") {
  ThreadPoolExecutor pool(1);
  CHECK_THROWS_AS(pool.submit(TaskOptions{.timeout = 1s}, [] {}), std::invalid_argument);
  CHECK_THROWS_WITH(pool.submit(TaskOptions{.timeout = 1s}, [] {}),
                    support::matchers::contains("a thread cannot be killed"));
}

TEST_CASE("a thread pool refuses a time limit for a task that waits for futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  argument.set_result(1);
  CHECK_THROWS_AS(pool.submit(
                      TaskOptions{.timeout = 1s}, [](int) {}, argument),
                  std::invalid_argument);
}

TEST_CASE("a stop token reaches a task with options") {
  ThreadPoolExecutor pool(1);
  auto task = pool.submit(TaskOptions{.priority = 1}, [](const std::stop_token& token) {
    while (!token.stop_requested()) std::this_thread::yield();
    return 1;
  });
  CHECK(task.request_stop());
  CHECK(task.result() == 1);
}

// Tasks that start later

TEST_CASE("a delayed task does not start before its time") {
  ThreadPoolExecutor pool(2);
  const auto begin = Clock::now();
  const auto by_delay = pool.submit(TaskOptions{.delay = 30ms}, [] { return Clock::now(); });
  const auto by_time =
      pool.submit(TaskOptions{.start_at = begin + 40ms}, [] { return Clock::now(); });
  const auto by_both = pool.submit(TaskOptions{.delay = 10ms, .start_at = begin + 50ms},
                                   [] { return Clock::now(); });
  CHECK(by_delay.result() - begin >= 30ms);
  CHECK(by_time.result() - begin >= 40ms);
  CHECK(by_both.result() - begin >= 50ms);
}

TEST_CASE("of a delay and a start time the later one counts") {
  ThreadPoolExecutor pool(1);
  const auto begin = Clock::now();
  const auto task =
      pool.submit(TaskOptions{.delay = 30ms, .start_at = begin + 1ms}, [] { return Clock::now(); });
  CHECK(task.result() - begin >= 30ms);
}

TEST_CASE("a time that is past starts at once, and so does a delay that is negative") {
  ThreadPoolExecutor pool(1);
  CHECK(pool.submit(TaskOptions{.start_at = Clock::now() - 1h}, [] { return 1; }).result() == 1);
  CHECK(pool.submit(TaskOptions{.start_at = Clock::time_point::min()}, [] { return 1; }).result() ==
        1);
  CHECK(pool.submit(TaskOptions{.delay = -1h}, [] { return 1; }).result() == 1);
  CHECK(pool.submit(TaskOptions{.delay = std::chrono::nanoseconds::min()}, [] { return 1; })
            .result() == 1);
}

TEST_CASE("a start time that is past keeps the task's place in the order") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    static_cast<void>(
        pool.submit(TaskOptions{.start_at = Clock::now()}, [&order] { order.push_back(1); }));
    pool.post([&order] { order.push_back(2); });
    static_cast<void>(pool.submit(TaskOptions{.start_at = Clock::time_point::min()},
                                  [&order] { order.push_back(3); }));
    pool.post([&order] { order.push_back(4); });
    occupied.release();
  }
  CHECK(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("delayed tasks start by their times, whatever the order of submission") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    const auto begin = Clock::now() + 200ms;  // late enough for all three to be submitted before
    for (const int i : {3, 1, 2}) {
      static_cast<void>(pool.submit(TaskOptions{.start_at = begin + i * 1us},
                                    [&order, i] { order.push_back(i); }));
    }
    while (Clock::now() < begin + 10us) std::this_thread::yield();
    occupied.release();
  }
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("other tasks run while one is delayed") {
  ThreadPoolExecutor pool(1);
  auto delayed = pool.submit(TaskOptions{.delay = 1h}, [] { return 1; });
  CHECK(pool.submit([] { return 2; }).result() == 2);
  CHECK_FALSE(delayed.done());
  CHECK(delayed.cancel());
}

TEST_CASE("a sleeping worker wakes earlier for a task that is due earlier") {
  ThreadPoolExecutor pool(1);
  auto late = pool.submit(TaskOptions{.delay = 1h}, [] { return 1; });
  const auto soon = pool.submit(TaskOptions{.delay = 10ms}, [] { return 2; });
  CHECK(soon.result() == 2);
  CHECK(late.cancel());
}

TEST_CASE("a delayed task is started while the other workers stay busy") {
  ThreadPoolExecutor pool(2);
  const support::Occupied occupied(pool, 1);
  CHECK(pool.submit(TaskOptions{.delay = 5ms}, [] { return 1; }).result() == 1);
}

TEST_CASE("a delayed task that is due while all are busy runs when a worker is free") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto task = pool.submit(TaskOptions{.delay = 1ms}, [] { return 1; });
  CHECK_FALSE(wait(std::vector{task}, {.timeout = 5ms}).done.size() == 1);
  occupied.release();
  CHECK(task.result() == 1);
}

TEST_CASE("a delayed task keeps its priority when its time has come") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    const auto due = Clock::now() + 1us;
    for (const int priority : {0, 2, 1, -1}) {
      static_cast<void>(pool.submit(TaskOptions{.priority = priority, .start_at = due},
                                    [&order, priority] { order.push_back(priority); }));
    }
    while (Clock::now() <= due) {
    }
    occupied.release();
  }
  CHECK(order == std::vector<int>{2, 1, 0, -1});
}

TEST_CASE("a delayed task that is cancelled never runs, and its captures go at once") {
  ThreadPoolExecutor pool(1);
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  auto task = pool.submit(TaskOptions{.delay = 1h}, [token = std::move(token)] {});
  CHECK(task.cancel());
  CHECK(watch.expired());
}

TEST_CASE("shutdown waits for a delayed task and runs it at its time") {
  const auto begin = Clock::now();
  Future<Clock::time_point> task;
  {
    ThreadPoolExecutor pool(1);
    task = pool.submit(TaskOptions{.delay = 30ms}, [] { return Clock::now(); });
  }
  REQUIRE(task.done());
  CHECK(task.result() - begin >= 30ms);
}

TEST_CASE("shutdown does not wait for a delayed task that was cancelled before") {
  ThreadPoolExecutor pool(1);
  pool.submit(TaskOptions{.delay = 1h}, [] {}).cancel();
  pool.shutdown();
  SUCCEED("it returned");
}

TEST_CASE("shutdown with cancel_futures does not wait for delayed tasks") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit(TaskOptions{.delay = 1h}, [] {});
  pool.shutdown(true, true);
  CHECK(task.cancelled());
}

TEST_CASE("cancelling the last delayed task lets a shutdown that waits for it return") {
  ThreadPoolExecutor pool(1);
  auto task = pool.submit(TaskOptions{.delay = 1h}, [] {});
  std::jthread shutter([&pool] { pool.shutdown(); });
  // Shutdown has begun when submit is refused.
  for (bool open = true; open;) {
    try {
      pool.submit(TaskOptions{.delay = 1h}, [] {}).cancel();
    } catch (const ShutdownError&) {
      open = false;
    }
  }
  CHECK(task.cancel());
  shutter.join();
}

TEST_CASE("cancelling the last delayed task lets wait_idle return") {
  ThreadPoolExecutor pool(1);
  auto task = pool.submit(TaskOptions{.delay = 1h}, [] {});
  CHECK_FALSE(pool.wait_idle(1ms));
  std::jthread canceller([task]() mutable { task.cancel(); });
  CHECK(pool.wait_idle());
}

TEST_CASE("wait_idle waits for a delayed task") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit(TaskOptions{.delay = 20ms}, [] { return 1; });
  CHECK(pool.wait_idle());
  CHECK(task.done());
}

TEST_CASE("a worker that waits for a delayed task of its pool gets its result") {
  ThreadPoolExecutor pool(1);
  const auto begin = Clock::now();
  const auto task = pool.submit([&pool] {
    return pool.submit(TaskOptions{.delay = 20ms}, [] { return Clock::now(); }).result();
  });
  CHECK(task.result() - begin >= 20ms);
}

TEST_CASE("the longest delay there is does not overflow into an early start") {
  ThreadPoolExecutor pool(1);
  auto by_delay = pool.submit(TaskOptions{.delay = std::chrono::nanoseconds::max()}, [] {});
  auto by_time = pool.submit(TaskOptions{.start_at = Clock::time_point::max()}, [] {});
  CHECK(wait(std::vector{by_delay, by_time}, {.timeout = 5ms}).done.empty());
  CHECK(by_delay.cancel());
  CHECK(by_time.cancel());
}

TEST_CASE("a thousand delayed tasks all run") {
  std::atomic<int> ran{0};
  {
    ThreadPoolExecutor pool(2);
    for (int i = 0; i < 1000; ++i) {
      static_cast<void>(
          pool.submit(TaskOptions{.delay = (i * 37 % 100) * 100us}, [&ran] { ++ran; }));
    }
  }
  CHECK(ran == 1000);
}

// Together with futures as arguments

TEST_CASE("a delay holds for a task that waits for futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  argument.set_result(1);
  const auto begin = Clock::now();
  const auto task = pool.submit(
      TaskOptions{.delay = 30ms}, [](int) { return Clock::now(); }, argument);
  CHECK(task.result() - begin >= 30ms);
}

TEST_CASE("a priority holds for a task that waits for futures") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    Future<int> argument;
    const auto note = [&order](int value) { order.push_back(value); };
    const auto low = pool.submit([&note](int value) { note(value); }, argument);
    const auto high = pool.submit(
        TaskOptions{.priority = 1}, [&note](int value) { note(10 * value); }, argument);
    argument.set_result(1);
    occupied.release();
    pool.wait_idle();
  }
  CHECK(order == std::vector<int>{10, 1});
}
