// SPDX-License-Identifier: MIT

// Future on its own, with no executor: states, outcomes, callbacks.

#include <concurrent/futures/future.hpp>
#include <concurrent/futures/wait.hpp>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/unraisable.hpp"

using namespace concurrent::futures;

namespace {

std::exception_ptr error_of(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// The exception object that `action` throws.
template <class Action>
const void* thrown_by(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    return &error;
  }
  return nullptr;
}

/// Counts its living copies.
struct Counted {
  explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
  Counted(const Counted& other) : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive_; }

 private:
  int* alive_;
};

}  // namespace

TEST_CASE("a new future is pending") {
  const Future<int> future;
  CHECK_FALSE(future.done());
  CHECK_FALSE(future.running());
  CHECK_FALSE(future.cancelled());
}

TEST_CASE("a cancelled future is done and cancelled") {
  Future<int> future;
  CHECK(future.cancel());
  CHECK(future.done());
  CHECK(future.cancelled());
  CHECK_FALSE(future.running());
}

TEST_CASE("cancelling twice is true twice and runs the callbacks once") {
  Future<int> future;
  int calls = 0;
  future.add_done_callback([&calls](const Future<int>&) { ++calls; });
  CHECK(future.cancel());
  CHECK(future.cancel());
  CHECK(calls == 1);
}

TEST_CASE("a running future cannot be cancelled, and nothing changes") {
  Future<int> future;
  REQUIRE(future.set_running_or_notify_cancel());
  CHECK_FALSE(future.cancel());
  CHECK(future.running());
  CHECK_FALSE(future.done());
  future.set_result(1);
  CHECK(future.result() == 1);
}

TEST_CASE("a finished future cannot be cancelled and keeps its result") {
  Future<int> future;
  future.set_result(5);
  CHECK_FALSE(future.cancel());
  CHECK_FALSE(future.cancelled());
  CHECK(future.result() == 5);
}

TEST_CASE("a failed future cannot be cancelled and keeps its exception") {
  Future<int> future;
  future.set_exception(error_of("first"));
  CHECK_FALSE(future.cancel());
  CHECK_THROWS_WITH(future.result(), "first");
}

TEST_CASE("set_running_or_notify_cancel makes a pending future running") {
  Future<int> future;
  CHECK(future.set_running_or_notify_cancel());
  CHECK(future.running());
  CHECK_FALSE(future.done());
}

TEST_CASE("set_running_or_notify_cancel is false on a cancelled future, again and again") {
  Future<int> future;
  future.cancel();
  CHECK_FALSE(future.set_running_or_notify_cancel());
  CHECK_FALSE(future.set_running_or_notify_cancel());
  CHECK(future.cancelled());
}

TEST_CASE("set_running_or_notify_cancel on a running or finished future is an error") {
  Future<int> future;
  future.set_running_or_notify_cancel();
  CHECK_THROWS_AS(future.set_running_or_notify_cancel(), InvalidStateError);
  future.set_result(1);
  CHECK_THROWS_AS(future.set_running_or_notify_cancel(), InvalidStateError);
}

TEST_CASE("a result can be asked for again and again") {
  Future<std::string> future;
  future.set_result("text");
  CHECK(future.result() == "text");
  CHECK(future.result() == "text");
  CHECK(&future.result() == &future.result());
}

TEST_CASE("a failed future throws the same exception object each time") {
  Future<int> future;
  future.set_exception(error_of("failed"));
  const auto ask = [&future] { static_cast<void>(future.result()); };
  const void* const first = thrown_by(ask);
  REQUIRE(first != nullptr);
  CHECK(thrown_by(ask) == first);
  CHECK(thrown_by([&future] { std::rethrow_exception(future.exception()); }) == first);
}

TEST_CASE("the exception of a future that succeeded is null") {
  Future<int> future;
  future.set_result(1);
  CHECK(future.exception() == nullptr);
}

TEST_CASE("a cancelled future throws CancelledError for its result and for its exception") {
  Future<int> future;
  future.cancel();
  CHECK_THROWS_AS(future.result(), CancelledError);
  CHECK_THROWS_AS(future.exception(), CancelledError);
}

TEST_CASE("a second outcome is refused and the first one kept") {
  Future<int> future;
  future.set_result(1);
  CHECK_THROWS_AS(future.set_result(2), InvalidStateError);
  CHECK_THROWS_AS(future.set_exception(error_of("late")), InvalidStateError);
  CHECK(future.result() == 1);

  Future<int> failed;
  failed.set_exception(error_of("first"));
  CHECK_THROWS_AS(failed.set_result(2), InvalidStateError);
  CHECK_THROWS_AS(failed.set_exception(error_of("second")), InvalidStateError);
  CHECK_THROWS_WITH(failed.result(), "first");
}

TEST_CASE("an outcome for a cancelled future is refused") {
  Future<int> future;
  future.cancel();
  CHECK_THROWS_AS(future.set_result(1), InvalidStateError);
  CHECK_THROWS_AS(future.set_exception(error_of("late")), InvalidStateError);
  CHECK(future.cancelled());
}

TEST_CASE("a blocked result wakes when the future succeeds") {
  Future<int> future;
  std::jthread completer([future]() mutable { future.set_result(7); });
  CHECK(future.result() == 7);
}

TEST_CASE("a blocked result wakes when the future fails") {
  Future<int> future;
  std::jthread completer([future]() mutable { future.set_exception(error_of("no")); });
  CHECK_THROWS_WITH(future.result(), "no");
}

TEST_CASE("a cancelled future wakes everyone who waits for it") {
  Future<int> future;
  std::atomic<int> woken{0};
  {
    std::vector<std::jthread> waiters;
    for (int i = 0; i < 4; ++i) {
      waiters.emplace_back([future, &woken] {
        try {
          static_cast<void>(future.result());
        } catch (const CancelledError&) {
          ++woken;
        }
      });
    }
    future.cancel();
  }
  CHECK(woken == 4);
}

TEST_CASE("what a task did is visible to whoever sees the future done") {
  for (int round = 0; round < 100; ++round) {
    Future<void> future;
    int written = 0;  // no atomic: the future alone orders the two threads
    std::jthread completer([future, &written]() mutable {
      written = 1;
      future.set_result();
    });
    if (round % 2 == 0) {
      while (!future.done()) std::this_thread::yield();
    } else {
      future.result();
    }
    REQUIRE(written == 1);
  }
}

TEST_CASE("exactly one of many that complete and cancel a future wins") {
  for (int round = 0; round < 200; ++round) {
    Future<int> future;
    std::atomic<int> winners{0};
    std::atomic<int> cancellers{0};
    std::latch start(4);
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&start, &winners, &cancellers, future, i]() mutable {
          start.arrive_and_wait();
          if (i % 2 == 0) {
            if (future.cancel()) ++cancellers;
            return;
          }
          try {
            future.set_result(i);
            ++winners;
          } catch (const InvalidStateError&) {
          }
        });
      }
    }
    if (future.cancelled()) {
      REQUIRE(winners == 0);
      REQUIRE(cancellers == 2);
    } else {
      REQUIRE(winners == 1);
      REQUIRE(cancellers == 0);
    }
  }
}

TEST_CASE("a future of a reference lends the very object") {
  int object = 1;
  Future<int&> future;
  future.set_result(object);
  CHECK(&future.result() == &object);
  future.result() = 2;
  CHECK(object == 2);
}

TEST_CASE("a future of something that can only be moved lends it and gives it away") {
  Future<std::unique_ptr<int>> future;
  future.set_result(std::make_unique<int>(3));
  CHECK(*future.result() == 3);
  Future<std::unique_ptr<int>> other = future;
  const std::unique_ptr<int> taken = std::move(other).result();
  CHECK(*taken == 3);
  CHECK(future.result() == nullptr);
}

TEST_CASE("a future of void has a result that is nothing") {
  Future<void> future;
  future.set_result();
  future.result();
  CHECK(future.exception() == nullptr);
  STATIC_REQUIRE(std::is_void_v<decltype(future.result())>);
}

TEST_CASE("set_result makes the value from any constructor's arguments") {
  Future<std::string> future;
  future.set_result(3U, 'x');
  CHECK(future.result() == "xxx");
}

TEST_CASE("a value whose construction throws leaves the future as it was") {
  struct Throwing {
    explicit Throwing(bool fail) {
      if (fail) throw std::runtime_error("no value");
    }
  };
  Future<Throwing> pending;
  CHECK_THROWS_WITH(pending.set_result(true), "no value");
  CHECK_FALSE(pending.done());
  CHECK_FALSE(pending.running());
  pending.set_result(false);
  CHECK(pending.done());

  Future<Throwing> running;
  running.set_running_or_notify_cancel();
  CHECK_THROWS_WITH(running.set_result(true), "no value");
  CHECK(running.running());
}

TEST_CASE("the value goes with the last handle") {
  int alive = 0;
  {
    Future<Counted> future;
    future.set_result(alive);
    CHECK(alive == 1);
    const Future<Counted> copy = future;
    future = Future<Counted>();
    CHECK(alive == 1);
  }
  CHECK(alive == 0);
}

TEST_CASE("a result whose destructor throws is reported and harms nobody") {
  struct Bomb {
    Bomb() = default;
    Bomb(const Bomb&) = default;
    Bomb& operator=(const Bomb&) = default;
    ~Bomb() noexcept(false) { throw std::runtime_error("bang"); }
  };
  const support::UnraisableReports reports;
  {
    Future<Bomb> future;
    future.set_result();
  }
  CHECK(reports.lines() == std::vector<std::string>{"the destructor of a result: bang"});
}

TEST_CASE("copies of a future speak of the same outcome") {
  Future<int> future;
  const Future<int> copy = future;
  CHECK(copy == future);
  CHECK_FALSE(copy == Future<int>());
  future.set_result(1);
  CHECK(copy.result() == 1);
}

TEST_CASE("futures are keys of an unordered_map by identity") {
  Future<int> first;
  Future<int> second;
  std::unordered_map<Future<int>, std::string> names;
  names[first] = "first";
  names[second] = "second";
  names[Future<int>(first)] += " again";
  CHECK(names.size() == 2);
  CHECK(names.at(first) == "first again");
  CHECK(names.at(second) == "second");
}

TEST_CASE("every use of a handle that was moved from is an error that says so") {
  Future<int> source;
  const Future<int> target = std::move(source);
  Future<int>& moved = source;  // NOLINT(bugprone-use-after-move): that is the test
  const std::string text = "this future was moved from";
  CHECK_THROWS_WITH(moved.cancel(), text);
  CHECK_THROWS_WITH(moved.cancelled(), text);
  CHECK_THROWS_WITH(moved.running(), text);
  CHECK_THROWS_WITH(moved.done(), text);
  CHECK_THROWS_WITH(moved.result(), text);
  CHECK_THROWS_WITH(moved.exception(), text);
  CHECK_THROWS_WITH(moved.add_done_callback([](const Future<int>&) {}), text);
  CHECK_THROWS_WITH(moved.then([](int value) { return value; }), text);
  CHECK_THROWS_WITH(moved.request_stop(), text);
  CHECK_THROWS_WITH(moved.set_running_or_notify_cancel(), text);
  CHECK_THROWS_WITH(moved.set_result(1), text);
  CHECK_THROWS_WITH(moved.set_exception(error_of("x")), text);
  CHECK_THROWS_AS(moved.result(), InvalidStateError);
  CHECK_FALSE(target.done());
}

TEST_CASE("a moved-from handle can be assigned to and used again") {
  Future<int> future;
  const Future<int> taken = std::move(future);
  future = taken;
  CHECK(future == taken);
}

TEST_CASE("a future that takes no stop token cannot be asked to stop") {
  Future<int> future;
  CHECK_FALSE(future.request_stop());
  future.set_result(1);
  CHECK_FALSE(future.request_stop());
}

// Callbacks

TEST_CASE("callbacks run once each, in the order they were added, with the future") {
  Future<int> future;
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    future.add_done_callback(
        [&order, i](const Future<int>& done) { order.push_back(10 * i + done.result()); });
  }
  future.set_result(7);
  CHECK(order == std::vector<int>{7, 17, 27, 37, 47});
}

TEST_CASE("a callback's future is the one it was added to") {
  Future<int> future;
  bool same = false;
  future.add_done_callback([&](const Future<int>& done) { same = done == future; });
  future.set_result(1);
  CHECK(same);
}

TEST_CASE("a callback added to a done future runs at once in the caller's thread") {
  Future<int> future;
  std::jthread([future]() mutable { future.set_result(1); }).join();
  std::thread::id thread;
  future.add_done_callback([&thread](const Future<int>&) { thread = std::this_thread::get_id(); });
  CHECK(thread == std::this_thread::get_id());
}

TEST_CASE("callbacks run in the thread that cancels") {
  Future<int> future;
  std::thread::id thread;
  bool was_cancelled = false;
  future.add_done_callback([&](const Future<int>& done) {
    thread = std::this_thread::get_id();
    was_cancelled = done.cancelled();
  });
  std::jthread canceller([future]() mutable { future.cancel(); });
  const std::thread::id expected = canceller.get_id();
  canceller.join();
  CHECK(thread == expected);
  CHECK(was_cancelled);
}

TEST_CASE("a callback that throws is reported and the next one runs") {
  const support::UnraisableReports reports;
  Future<int> future;
  int calls = 0;
  future.add_done_callback([](const Future<int>&) { throw std::runtime_error("oops"); });
  future.add_done_callback([](const Future<int>&) { throw 42; });
  future.add_done_callback([&calls](const Future<int>&) { ++calls; });
  future.set_result(1);
  CHECK(calls == 1);
  CHECK(reports.lines() == std::vector<std::string>{"a done-callback of a future: oops",
                                                    "a done-callback of a future: ?"});
}

TEST_CASE("a callback that throws on a done future is reported, not thrown at who adds it") {
  const support::UnraisableReports reports;
  Future<int> future;
  future.set_result(1);
  future.add_done_callback([](const Future<int>&) { throw std::runtime_error("oops"); });
  CHECK(reports.lines() == std::vector<std::string>{"a done-callback of a future: oops"});
}

TEST_CASE("a callback may add a callback, which runs at once") {
  Future<int> future;
  std::vector<int> order;
  future.add_done_callback([&order](const Future<int>& done) {
    order.push_back(1);
    done.add_done_callback([&order](const Future<int>&) { order.push_back(2); });
    order.push_back(3);
  });
  future.add_done_callback([&order](const Future<int>&) { order.push_back(4); });
  future.set_result(0);
  CHECK(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("no lock of the library is held while a callback runs") {
  Future<int> future;
  int seen = 0;
  future.add_done_callback([&seen](Future<int> done) {
    std::jthread([&seen, done]() mutable {  // a second thread, so a lock held would be a deadlock
      seen += done.result();
      done.cancel();
      done.add_done_callback([&seen](const Future<int>&) { ++seen; });
      seen += static_cast<int>(wait(std::vector{done}).done.size());
      for (const Future<int>& one : as_completed(std::vector{done})) seen += one.result();
    })
        .join();
  });
  future.set_result(10);
  CHECK(seen == 22);
}

TEST_CASE("a callback may complete and cancel other futures") {
  Future<int> first;
  Future<int> second;
  Future<int> third;
  first.add_done_callback([second, third](const Future<int>& done) mutable {
    second.set_result(done.result() + 1);
    third.cancel();
  });
  first.set_result(1);
  CHECK(second.result() == 2);
  CHECK(third.cancelled());
}

TEST_CASE("a callback may drop the last other handle of its future") {
  auto future = std::make_unique<Future<std::string>>();
  std::string text;
  future->add_done_callback([&](const Future<std::string>& done) {
    future.reset();
    text = done.result();
  });
  future->set_result("kept");
  CHECK(text == "kept");
}

TEST_CASE("a callback is destroyed when it has run") {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  Future<int> future;
  future.add_done_callback([token = std::move(token)](const Future<int>&) {});
  CHECK_FALSE(watch.expired());
  future.set_result(1);
  CHECK(watch.expired());
}

TEST_CASE("a callback that can only be moved is fine") {
  Future<int> future;
  int seen = 0;
  future.add_done_callback([&seen, extra = std::make_unique<int>(5)](const Future<int>& done) {
    seen = done.result() + *extra;
  });
  future.set_result(1);
  CHECK(seen == 6);
}

TEST_CASE("the callbacks of a future that is dropped before it is done see a cancellation") {
  bool was_cancelled = false;
  {
    Future<int> future;
    future.add_done_callback(
        [&was_cancelled](const Future<int>& done) { was_cancelled = done.cancelled(); });
  }
  CHECK(was_cancelled);
}

TEST_CASE("a running future that is dropped before it is done is seen as cancelled") {
  Future<int> next;
  {
    Future<int> future;
    next = future.then([](int value) { return value; });
    future.set_running_or_notify_cancel();
  }
  CHECK(next.cancelled());
}
