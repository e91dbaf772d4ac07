// SPDX-License-Identifier: MIT

// Future::then.

#include <concurrent/futures/future.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;

TEST_CASE("then gives the future of what the continuation returns") {
  Future<int> source;
  const Future<std::string> next = source.then([](int value) { return std::to_string(value); });
  CHECK_FALSE(next.done());
  source.set_result(42);
  CHECK(next.result() == "42");
}

TEST_CASE("then on a done future runs at once in the caller's thread") {
  Future<int> source;
  source.set_result(1);
  std::thread::id thread;
  const auto next = source.then([&thread](int) { thread = std::this_thread::get_id(); });
  CHECK(next.done());
  CHECK(thread == std::this_thread::get_id());
}

TEST_CASE("a continuation of a future of void takes nothing") {
  Future<void> source;
  const Future<int> next = source.then([] { return 1; });
  source.set_result();
  CHECK(next.result() == 1);
}

TEST_CASE("a continuation of a future of a reference takes the very object") {
  int object = 1;
  Future<int&> source;
  const Future<int&> next = source.then([](int& value) -> int& { return ++value; });
  source.set_result(object);
  CHECK(&next.result() == &object);
  CHECK(object == 2);
}

TEST_CASE("then on an lvalue lends the value") {
  Future<std::unique_ptr<int>> source;
  const Future<int> next = source.then([](const std::unique_ptr<int>& value) { return *value; });
  source.set_result(std::make_unique<int>(5));
  CHECK(next.result() == 5);
  CHECK(*source.result() == 5);
}

TEST_CASE("then on an rvalue gives the value away") {
  Future<std::unique_ptr<int>> source;
  const Future<std::unique_ptr<int>> next =
      Future(source).then([](std::unique_ptr<int> value) { return value; });
  source.set_result(std::make_unique<int>(5));
  CHECK(*next.result() == 5);
  CHECK(source.result() == nullptr);
}

TEST_CASE("an exception passes through then, the same object, and nothing is called") {
  Future<int> source;
  bool called = false;
  const auto next =
      source.then([&called](int) { called = true; }).then([&called] { called = true; });
  const auto error = std::make_exception_ptr(std::runtime_error("failed"));
  source.set_exception(error);
  CHECK(next.exception() == error);
  CHECK_FALSE(called);
}

TEST_CASE("a cancellation passes through then, and nothing is called") {
  Future<int> source;
  bool called = false;
  const auto next = source.then([&called](int) { called = true; });
  source.cancel();
  CHECK(next.cancelled());
  CHECK_FALSE(called);
}

TEST_CASE("what a continuation throws ends in its future") {
  Future<int> source;
  const auto next = source.then([](int) -> int { throw std::runtime_error("oops"); });
  const auto odd = source.then([](int) -> int { throw 42; });
  source.set_result(1);
  CHECK_THROWS_WITH(next.result(), "oops");
  CHECK_THROWS_AS(odd.result(), int);
  CHECK(source.result() == 1);
}

TEST_CASE("a cancelled continuation never runs, and its captures go at once") {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  bool called = false;
  Future<int> source;
  auto next = source.then([&called, token = std::move(token)](int) { called = true; });
  CHECK(next.cancel());
  CHECK(watch.expired());
  source.set_result(1);
  CHECK_FALSE(called);
  CHECK(next.cancelled());
  CHECK(source.result() == 1);
}

TEST_CASE("continuations and callbacks run in the order they were added") {
  Future<int> source;
  std::vector<int> order;
  source.add_done_callback([&order](const Future<int>&) { order.push_back(1); });
  const auto first = source.then([&order](int) { order.push_back(2); });
  source.add_done_callback([&order](const Future<int>&) { order.push_back(3); });
  const auto second = source.then([&order](int) { order.push_back(4); });
  source.set_result(0);
  CHECK(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("the captures of a continuation are gone before its outcome is visible") {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  Future<int> source;
  const auto next = source.then([token = std::move(token)](int value) { return value; });
  bool gone = false;
  next.add_done_callback([&](const Future<int>&) { gone = watch.expired(); });
  source.set_result(1);
  CHECK(gone);
}

TEST_CASE("a continuation runs although its future was dropped") {
  Future<int> source;
  bool called = false;
  static_cast<void>(source.then([&called](int) { called = true; }));
  source.set_result(1);
  CHECK(called);
}

TEST_CASE("a continuation that returns a const value or an rvalue reference makes a plain value") {
  Future<std::string> source;
  const auto made = source.then([](const std::string& text) -> const std::string { return text; });
  const auto moved =
      Future(source).then([](std::string&& text) -> std::string&& { return std::move(text); });
  STATIC_REQUIRE(std::is_same_v<decltype(made), const Future<std::string>>);
  STATIC_REQUIRE(std::is_same_v<decltype(moved), const Future<std::string>>);
  source.set_result("text");
  CHECK(made.result() == "text");
  CHECK(moved.result() == "text");
}

TEST_CASE("what hangs on an abandoned future is cancelled, however long the chain") {
  Future<int> last;
  {
    const Future<int> source;
    last = source.then([](int value) { return value; });
    for (std::size_t i = 0; i < support::scaled(100'000); ++i) {
      last = last.then([](int value) { return value; });
    }
  }
  CHECK(last.cancelled());
}

TEST_CASE("a chain of 100,000 continuations needs no deep stack") {
  const std::size_t length = support::scaled(100'000);
  Future<std::size_t> source;
  Future<std::size_t> last = source;
  for (std::size_t i = 0; i < length; ++i) {
    last = last.then([](std::size_t value) { return value + 1; });
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
  SECTION("when all its handles are dropped before it is done") { last = Future<std::size_t>(); }
}

TEST_CASE("a chain of 100,000 continuations is dropped without a deep stack") {
  Future<std::size_t> source;
  std::vector<Future<std::size_t>> chain{source};
  for (std::size_t i = 0; i < support::scaled(100'000); ++i) {
    chain.push_back(chain.back().then([](std::size_t value) { return value + 1; }));
  }
  source.set_result(0U);
  CHECK(chain.back().result() == support::scaled(100'000));
  const Future<std::size_t> last = chain.back();
  chain.clear();
  CHECK(last.done());
}

TEST_CASE("a continuation may complete its own source's siblings and wait for them") {
  Future<int> source;
  Future<int> other;
  const auto waiting = other.then([](int value) { return value + 1; });
  const auto next = source.then([other](int value) mutable {
    other.set_result(value);
    return value;
  });
  source.set_result(4);
  CHECK(next.result() == 4);
  CHECK(waiting.result() == 5);
}

TEST_CASE("a worker may wait for the continuation of a task of its own pool") {
  ThreadPoolExecutor pool(1);
  const auto answer = pool.submit([&pool] {
    auto last = pool.submit([] { return 1; }).then([](int value) { return value + 1; });
    for (int i = 0; i < 20; ++i) last = last.then([](int value) { return value + 1; });
    return std::move(last).result();
  });
  CHECK(answer.result() == 22);
}

TEST_CASE("a continuation on a pool's future runs when the task ends") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto next = pool.submit([] { return 20; }).then([](int value) { return value + 1; });
  CHECK_FALSE(next.done());
  occupied.release();
  CHECK(next.result() == 21);
}
