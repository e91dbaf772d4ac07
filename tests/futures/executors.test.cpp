// SPDX-License-Identifier: MIT

// What every executor does alike: threads, processes, and the inline one that a user wrote in a few
// lines. All callables are stateless, so that they can go to another process.

#include <chrono>
#include <concurrent/futures/executor.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<concurrent/futures/process_pool.hpp>)
#include <concurrent/futures/process_pool.hpp>
#define EXECUTORS ThreadPoolExecutor, ProcessPoolExecutor, support::InlineExecutor
#else
#define EXECUTORS ThreadPoolExecutor, support::InlineExecutor
#endif

#include "futures_support.hpp"
#include "support/catch.hpp"
#include "support/inline_executor.hpp"

using namespace concurrent::futures;
using namespace futures_test;

namespace {

int twice(int value) { return 2 * value; }

}  // namespace

TEMPLATE_TEST_CASE("every executor fits the concept", "", EXECUTORS) {
  STATIC_REQUIRE(Executor<TestType>);
}

TEMPLATE_TEST_CASE("every executor runs functions and lambdas with their arguments", "",
                   EXECUTORS) {
  TestType executor = make_executor<TestType>();
  CHECK(executor.submit(twice, 21).result() == 42);
  CHECK(executor.submit(&twice, 4).result() == 8);
  const auto join = [](const std::string& a, int b) { return a + std::to_string(b); };
  CHECK(executor.submit(join, std::string("x"), 1).result() == "x1");
  CHECK(executor.submit([] {
                  return std::vector<std::string>{"a", "b"};
                })
            .result() == std::vector<std::string>{"a", "b"});
  executor.submit([] {}).result();
}

TEMPLATE_TEST_CASE("every executor hands out the exception of a task", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const auto task = executor.submit(throw_on_odd, 3);
  CHECK_THROWS_AS(task.result(), std::runtime_error);
  CHECK_THROWS_WITH(task.result(), "odd: 3");
  CHECK(task.exception() == task.exception());
  CHECK(task.exception() != nullptr);
  CHECK(executor.submit(throw_on_odd, 2).exception() == nullptr);
  CHECK(executor.submit(twice, 1).result() == 2);  // the worker lives
}

TEMPLATE_TEST_CASE("every executor's finished future cannot be cancelled or completed again", "",
                   EXECUTORS) {
  TestType executor = make_executor<TestType>();
  auto task = executor.submit(twice, 1);
  CHECK(task.result() == 2);
  CHECK(task.done());
  CHECK_FALSE(task.cancel());
  CHECK_FALSE(task.cancelled());
  CHECK_THROWS_AS(task.set_result(5), InvalidStateError);
  CHECK(task.result() == 2);
}

TEMPLATE_TEST_CASE("every executor's futures take callbacks and continuations", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const auto task = executor.submit(twice, 5);
  Future<int> seen;
  task.add_done_callback(
      [seen](const Future<int>& done) mutable { seen.set_result(done.result()); });
  CHECK(seen.result() == 10);
  CHECK(task.then([](int value) { return value + 1; }).result() == 11);
}

TEMPLATE_TEST_CASE("every executor's futures can be waited for together", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(executor.submit(throw_on_odd, i));
  std::size_t failed = 0;
  std::size_t given = 0;
  for (const Future<int>& future : as_completed(tasks)) {
    ++given;
    if (future.exception() != nullptr) ++failed;
  }
  CHECK(given == 20);
  CHECK(failed == 10);
  const auto [done, not_done] = wait(tasks);
  CHECK(done == tasks);
  CHECK(not_done.empty());
}

TEMPLATE_TEST_CASE("every executor maps in the order of the input", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 7U, 1000U);
  auto expected = first_numbers(100);
  for (int& value : expected) value *= 2;
  CHECK(executor.map(MapOptions{.chunksize = chunksize}, twice, first_numbers(100)).to_vector() ==
        expected);
}

TEMPLATE_TEST_CASE("every executor maps over several ranges up to the shortest", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const auto join = [](const std::string& a, int b) { return a + std::to_string(b); };
  CHECK(executor.map(join, std::vector<std::string>{"a", "b"}, first_numbers(5)).to_vector() ==
        std::vector<std::string>{"a0", "b1"});
}

TEMPLATE_TEST_CASE("every executor's map throws at the failing element and goes on behind it", "",
                   EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 2U, 10U);
  auto results = executor.map(MapOptions{.chunksize = chunksize}, throw_on_odd, first_numbers(6));
  int element = 0;
  for (auto at = results.begin(); at != results.end(); ++at, ++element) {
    if (element % 2 == 0) {
      CHECK(*at == element);
    } else {
      CHECK_THROWS_WITH(*at, "odd: " + std::to_string(element));
    }
  }
  CHECK(element == 6);
}

TEMPLATE_TEST_CASE("every executor's map works with a buffer", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  CHECK(executor
            .map(MapOptions{.chunksize = 2, .buffersize = 2}, throw_on_odd,
                 std::vector<int>{0, 2, 4, 6, 8, 10, 12})
            .to_vector() == std::vector<int>{0, 2, 4, 6, 8, 10, 12});
}

TEMPLATE_TEST_CASE("every executor's map refuses sizes of zero in Python's words", "", EXECUTORS) {
  TestType executor = make_executor<TestType>();
  CHECK_THROWS_WITH(executor.map(MapOptions{.chunksize = 0}, twice, first_numbers(1)),
                    "chunksize must be >= 1.");
  CHECK_THROWS_WITH(executor.map(MapOptions{.buffersize = 0}, twice, first_numbers(1)),
                    "buffersize must be None or > 0");
}

TEMPLATE_TEST_CASE("every executor refuses tasks after shutdown, which may be called again", "",
                   EXECUTORS) {
  TestType executor = make_executor<TestType>();
  const auto task = executor.submit(twice, 1);
  executor.shutdown();
  CHECK(task.done());
  CHECK_THROWS_AS(executor.submit(twice, 1), ShutdownError);
  CHECK_THROWS_WITH(executor.submit(twice, 1), "cannot schedule new futures after shutdown");
  CHECK_THROWS_AS(executor.map(twice, first_numbers(2)), ShutdownError);
  executor.shutdown();
  executor.shutdown(true, true);
  CHECK(task.result() == 2);
}

TEMPLATE_TEST_CASE("every executor's futures outlive it, and its end completes them", "",
                   EXECUTORS) {
  std::vector<Future<int>> tasks;
  {
    TestType executor = make_executor<TestType>();
    for (int i = 0; i < 50; ++i) tasks.push_back(executor.submit(twice, i));
  }
  for (int i = 0; i < 50; ++i) CHECK(tasks[static_cast<std::size_t>(i)].result() == 2 * i);
}

TEMPLATE_TEST_CASE("every executor that was never used can be destroyed and shut down", "",
                   EXECUTORS) {
  { TestType executor = make_executor<TestType>(); }
  TestType executor = make_executor<TestType>();
  executor.shutdown(false);
  executor.shutdown(true, true);
  SUCCEED();
}
