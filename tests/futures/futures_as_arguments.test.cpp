// SPDX-License-Identifier: MIT

// Tasks whose arguments are futures.

#include <atomic>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;

namespace {

int add(int a, int b) { return a + b; }

}  // namespace

TEST_CASE("a callable that takes values may be given futures of them") {
  ThreadPoolExecutor pool(2);
  const auto two = pool.submit([] { return 2; });
  CHECK(pool.submit(add, two, 40).result() == 42);
  CHECK(pool.submit(add, 40, two).result() == 42);
  CHECK(pool.submit(add, two, two).result() == 4);
  CHECK(pool.submit(add, pool.submit(add, 1, 2), pool.submit(add, 3, 4)).result() == 10);
}

TEST_CASE("a task that waits for a future occupies no worker") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const auto dependent = pool.submit(add, argument, 1);
  CHECK(pool.submit([] { return 5; }).result() == 5);  // on the only worker
  CHECK_FALSE(dependent.done());
  CHECK_FALSE(dependent.running());
  argument.set_result(1);
  CHECK(dependent.result() == 2);
}

TEST_CASE("a future argument may belong to no pool, to another pool, or be done already") {
  ThreadPoolExecutor pool(1);
  ThreadPoolExecutor other(1);
  Future<int> done;
  done.set_result(1);
  CHECK(pool.submit(add, done, 1).result() == 2);
  CHECK(pool.submit(add, other.submit(add, 1, 1), 1).result() == 3);
}

TEST_CASE("a callable that takes the future itself gets it as it is") {
  ThreadPoolExecutor pool(1);
  const Future<int> pending;
  const auto task = pool.submit([](const Future<int>& future) { return future.done(); }, pending);
  CHECK_FALSE(task.result());  // it did not wait
}

TEST_CASE("a callable that takes anything gets the future itself") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  argument.set_result(1);
  const auto task = pool.submit(
      [](const auto& given) { return std::is_same_v<decltype(given), const Future<int>&>; },
      argument);
  CHECK(task.result());
}

TEST_CASE("a future given as an lvalue lends its value") {
  ThreadPoolExecutor pool(1);
  Future<std::unique_ptr<int>> argument;
  argument.set_result(std::make_unique<int>(5));
  const auto address =
      pool.submit([](const std::unique_ptr<int>& value) { return value.get(); }, argument);
  CHECK(address.result() == argument.result().get());
  CHECK(*argument.result() == 5);
}

TEST_CASE("a future given as an rvalue gives its value away") {
  ThreadPoolExecutor pool(1);
  Future<std::unique_ptr<int>> argument;
  argument.set_result(std::make_unique<int>(5));
  const Future<std::unique_ptr<int>> other = argument;
  auto task = pool.submit([](std::unique_ptr<int> value) { return value; }, std::move(argument));
  CHECK(*task.result() == 5);
  CHECK(other.result() == nullptr);
}

TEST_CASE("a future of a reference passes the very object") {
  ThreadPoolExecutor pool(1);
  int object = 1;
  Future<int&> argument;
  const auto task = pool.submit([](int& value) -> int& { return ++value; }, argument);
  argument.set_result(object);
  CHECK(&task.result() == &object);
  CHECK(object == 2);
}

TEST_CASE("a future of void is waited for and passes nothing") {
  ThreadPoolExecutor pool(1);
  Future<void> first;
  Future<void> last;
  const auto task = pool.submit([](int value) { return value; }, first, 7, last);
  first.set_result();
  CHECK(pool.submit([] { return 1; }).result() == 1);
  CHECK_FALSE(task.done());
  last.set_result();
  CHECK(task.result() == 7);
}

TEST_CASE("a callable may take a stop token and the values of futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  auto task = pool.submit(
      [](const std::stop_token& token, int value) { return token.stop_requested() ? value : -1; },
      argument);
  CHECK(task.request_stop());  // before it can even start
  argument.set_result(3);
  CHECK(task.result() == 3);
}

TEST_CASE("a failed argument fails the task with the same exception object, without running it") {
  ThreadPoolExecutor pool(1);
  std::atomic<bool> ran{false};
  Future<int> argument;
  const auto task = pool.submit([&ran](int, int) { ran = true; }, argument, Future<int>(argument));
  const auto error = std::make_exception_ptr(std::runtime_error("failed"));
  argument.set_exception(error);
  CHECK(task.exception() == error);
  CHECK(pool.wait_idle());
  CHECK_FALSE(ran);
}

TEST_CASE("a failed argument fails the task at once, though others are still pending") {
  ThreadPoolExecutor pool(1);
  const Future<int> pending;
  Future<int> argument;
  const auto task = pool.submit(add, pending, argument);
  argument.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
  REQUIRE(task.done());
  CHECK_THROWS_WITH(task.result(), "failed");
}

TEST_CASE("an argument that failed before submit fails the task") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  argument.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
  const auto task = pool.submit(add, argument, 1);
  CHECK_THROWS_WITH(task.result(), "failed");
}

TEST_CASE("a cancelled argument cancels the task") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const auto task = pool.submit(add, argument, 1);
  argument.cancel();
  CHECK(task.cancelled());
  CHECK_THROWS_AS(task.result(), CancelledError);
}

TEST_CASE("an argument that is abandoned cancels the task") {
  ThreadPoolExecutor pool(1);
  Future<int> task;
  {
    auto source = std::make_unique<Future<int>>();
    const auto argument = source->then([](int value) { return value; });
    task = pool.submit(add, argument, 1);
    source.reset();
  }
  CHECK_THROWS_AS(task.result(), CancelledError);
}

TEST_CASE("a task that waits for a future can be cancelled, and its arguments go at once") {
  ThreadPoolExecutor pool(1);
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  Future<int> argument;
  std::atomic<bool> ran{false};
  auto task = pool.submit([&ran](int, const std::shared_ptr<int>&) { ran = true; }, argument,
                          std::move(token));
  CHECK(task.cancel());
  CHECK(watch.expired());
  argument.set_result(1);
  CHECK(pool.wait_idle());
  CHECK_FALSE(ran);
}

TEST_CASE("a task that waits for a future may be completed from outside") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  auto task = pool.submit(add, argument, 1);
  task.set_result(7);
  argument.set_result(1);
  CHECK(task.result() == 7);
  CHECK(pool.wait_idle());
}

TEST_CASE("callable and arguments of a dependent task are destroyed before its result is visible") {
  ThreadPoolExecutor pool(1);
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  Future<int> argument;
  const auto task = pool.submit([token = std::move(token)](int value) { return value; }, argument);
  bool gone = false;
  task.add_done_callback([&](const Future<int>&) { gone = watch.expired(); });
  argument.set_result(1);
  pool.shutdown();
  CHECK(gone);
}

TEST_CASE("a dependent task that throws ends in its future") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  argument.set_result(1);
  const auto task = pool.submit([](int) { throw 42; }, argument);
  CHECK_THROWS_AS(task.result(), int);
}

TEST_CASE("a chain of dependent tasks runs from one end to the other") {
  ThreadPoolExecutor pool(2);
  Future<std::size_t> source;
  Future<std::size_t> last = source;
  const std::size_t length = support::scaled(20'000);
  for (std::size_t i = 0; i < length; ++i) {
    last = pool.submit([](std::size_t value) { return value + 1; }, last);
  }
  SECTION("when it succeeds") {
    source.set_result(0U);
    CHECK(last.result() == length);
  }
  SECTION("when it fails") {
    source.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
    CHECK_THROWS_WITH(last.result(), "failed");
  }
  SECTION("when it is cancelled") {
    source.cancel();
    CHECK(last.cancelled());
  }
}

TEST_CASE("a diamond of dependent tasks gives what it should") {
  ThreadPoolExecutor pool(2);
  for (int round = 0; round < 200; ++round) {
    const auto top = pool.submit([round] { return round; });
    const auto left = pool.submit(add, top, 1);
    const auto right = pool.submit(add, top, 2);
    REQUIRE(pool.submit(add, left, right).result() == 2 * round + 3);
  }
}

TEST_CASE("many tasks may wait for one future") {
  ThreadPoolExecutor pool(2);
  Future<int> argument;
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 500; ++i) tasks.push_back(pool.submit(add, argument, i));
  argument.set_result(1);
  for (int i = 0; i < 500; ++i) REQUIRE(tasks[static_cast<std::size_t>(i)].result() == i + 1);
}

TEST_CASE("dependent tasks whose arguments are done in another thread meanwhile all run") {
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < support::scaled(2000); ++round) {
    Future<int> one;
    Future<int> two;
    std::jthread completer([one, two]() mutable {
      one.set_result(1);
      two.set_result(2);
    });
    REQUIRE(pool.submit(add, one, two).result() == 3);
  }
}

TEST_CASE("cancelling a dependent task races with its argument, with exactly one outcome") {
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < support::scaled(2000); ++round) {
    Future<int> argument;
    std::atomic<int> ran{0};
    auto task = pool.submit([&ran](int) { ++ran; }, argument);
    std::jthread completer([argument]() mutable { argument.set_result(1); });
    const bool cancelled = task.cancel();
    static_cast<void>(wait(std::vector{task}));
    REQUIRE(cancelled == task.cancelled());
    REQUIRE(ran == (cancelled ? 0 : 1));
  }
}

TEST_CASE("shutdown waits for tasks that wait for futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const auto task = pool.submit(add, argument, 1);
  std::jthread completer([argument]() mutable { argument.set_result(1); });
  pool.shutdown();
  CHECK(task.done());
  CHECK(task.result() == 2);
}

TEST_CASE("a dependent task that is cancelled lets a shutdown that waits for it return") {
  ThreadPoolExecutor pool(1);
  const Future<int> argument;
  auto task = pool.submit(add, argument, 1);
  std::jthread shutter([&pool] { pool.shutdown(); });
  CHECK(task.cancel());
  shutter.join();
  CHECK(task.cancelled());
}

TEST_CASE("shutdown with cancel_futures cancels tasks that wait for futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const auto task = pool.submit(add, argument, 1);
  const auto next = pool.submit(add, task, 1);
  pool.shutdown(true, true);
  CHECK(task.cancelled());
  CHECK(next.cancelled());
  argument.set_result(1);
  CHECK(argument.result() == 1);
}

TEST_CASE("a task that waits for a future outlives its pool's destructor only as a done one") {
  Future<int> argument;
  Future<int> task;
  std::jthread completer;
  {
    ThreadPoolExecutor pool(1);
    task = pool.submit(add, argument, 1);
    completer = std::jthread([argument]() mutable { argument.set_result(1); });
  }
  REQUIRE(task.done());
  CHECK(task.result() == 2);
}

TEST_CASE("wait_idle waits for tasks that wait for futures") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const auto task = pool.submit(add, argument, 1);
  CHECK_FALSE(pool.wait_idle(std::chrono::milliseconds(1)));
  std::jthread completer([argument]() mutable { argument.set_result(1); });
  CHECK(pool.wait_idle());
  CHECK(task.done());
}

TEST_CASE("a broken pool fails its tasks that wait for futures") {
  ThreadPoolExecutor pool(
      {.max_workers = 1, .initializer = [] { throw std::runtime_error("no"); }});
  const auto hook = set_unraisable_hook([](const std::exception_ptr&, std::string_view) {});
  const Future<int> argument;
  const auto dependent = pool.submit(add, argument, 1);
  const auto task = pool.submit([] { return 1; });
  CHECK_THROWS_AS(dependent.result(), BrokenThreadPool);
  CHECK_THROWS_AS(task.result(), BrokenThreadPool);
  pool.shutdown();
  set_unraisable_hook(hook);
}

TEST_CASE("a worker may wait for a task that waits for a task of the same pool") {
  for (const std::size_t workers : {1U, 2U}) {
    ThreadPoolExecutor pool(workers);
    const auto task = pool.submit([&pool] {
      const auto one = pool.submit([] { return 1; });
      const auto two = pool.submit(add, one, 1);
      const auto three = pool.submit(add, two, one);
      return three.result();
    });
    CHECK(task.result() == 3);
  }
}

TEST_CASE("the only worker may wait for a dependent task whose argument comes from outside") {
  ThreadPoolExecutor pool(1);
  Future<int> outside;
  Future<int> begun;
  const auto task = pool.submit([&pool, outside, begun]() mutable {
    const auto dependent = pool.submit(add, outside, 1);
    begun.set_result(1);
    return dependent.result();
  });
  CHECK(begun.result() == 1);
  outside.set_result(41);
  CHECK(task.result() == 42);
}

TEST_CASE("a future that was moved from is refused as an argument") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  const Future<int> taken = std::move(argument);
  CHECK_THROWS_AS(pool.submit(add, argument, 1),
                  InvalidStateError);  // NOLINT(bugprone-use-after-move)
  CHECK(pool.submit([] { return 1; }).result() == 1);
}
