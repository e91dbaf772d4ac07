// SPDX-License-Identifier: MIT

// How a ThreadPoolExecutor ends: shutdown in all its ways, destructors in odd places, races.

#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/scaled.hpp"
#include "support/threads.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

TEST_CASE("submit and post after shutdown are errors in Python's words") {
  ThreadPoolExecutor pool(1);
  pool.shutdown();
  CHECK_THROWS_AS(pool.submit([] {}), ShutdownError);
  CHECK_THROWS_AS(pool.post([] {}), ShutdownError);
  CHECK_THROWS_WITH(pool.submit([] {}), "cannot schedule new futures after shutdown");
  CHECK_THROWS_AS(pool.submit(TaskOptions{.priority = 1}, [] {}), ShutdownError);
  CHECK_THROWS_AS(pool.submit(TaskOptions{.delay = 1ms}, [] {}), ShutdownError);
  CHECK_THROWS_AS(pool.submit([](int) {}, Future<int>()), ShutdownError);
}

TEST_CASE("a refused submit destroys what it was given") {
  ThreadPoolExecutor pool(1);
  pool.shutdown();
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  CHECK_THROWS_AS(pool.submit([token] {}), ShutdownError);
  CHECK_THROWS_AS(pool.post([token] {}), ShutdownError);
  CHECK_THROWS_AS(pool.submit([](int, const std::shared_ptr<int>&) {}, Future<int>(), token),
                  ShutdownError);
  CHECK(token.use_count() == 1);
  token.reset();
  CHECK(watch.expired());
}

TEST_CASE("shutdown waits until everything has run") {
  ThreadPoolExecutor pool(2);
  std::atomic<int> ran{0};
  for (int i = 0; i < 500; ++i) pool.post([&ran] { ++ran; });
  pool.shutdown();
  CHECK(ran == 500);
}

TEST_CASE("shutdown ends the threads") {
  ThreadPoolExecutor pool({.max_workers = 3, .thread_name_prefix = "ending"});
  {
    const support::Occupied all(pool, 3);
    CHECK(support::thread_names("ending").size() == 3);
  }
  pool.shutdown();
  support::await_threads("ending", 0);
}

TEST_CASE("shutdown without waiting returns at once, and what was accepted is still run") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto task = pool.submit([] { return 1; });
  pool.shutdown(false);
  CHECK_FALSE(task.done());
  CHECK_THROWS_AS(pool.submit([] {}), ShutdownError);
  occupied.release();
  CHECK(task.result() == 1);
}

TEST_CASE("shutdown is idempotent") {
  ThreadPoolExecutor pool(2);
  const auto task = pool.submit([] { return 1; });
  pool.shutdown(false);
  pool.shutdown();
  pool.shutdown();
  pool.shutdown(true, true);
  pool.shutdown(false, true);
  CHECK(task.result() == 1);
}

TEST_CASE("a pool that was never used can be shut down") {
  ThreadPoolExecutor pool(1);
  pool.shutdown();
  pool.shutdown(true, true);
  CHECK_THROWS_AS(pool.submit([] {}), ShutdownError);
}

TEST_CASE("shutdown with cancel_futures cancels what is pending and lets what runs finish") {
  ThreadPoolExecutor pool(1);
  std::latch running(1);
  support::Gate gate;
  const auto first = pool.submit([&running, at_gate = gate.waiter()] {
    running.count_down();
    at_gate();
    return 1;
  });
  running.wait();
  std::vector<Future<int>> pending;
  for (int i = 0; i < 50; ++i) pending.push_back(pool.submit([] { return 2; }));
  pending.push_back(pool.submit(TaskOptions{.priority = 1}, [] { return 3; }));
  pending.push_back(pool.submit(TaskOptions{.delay = 1h}, [] { return 4; }));
  pending.push_back(pool.submit([](int value) { return value; }, Future<int>()));
  bool posted_ran = false;
  pool.post([&posted_ran] { posted_ran = true; });
  pool.shutdown(false, true);
  for (const auto& task : pending) CHECK(task.cancelled());
  CHECK_FALSE(first.done());
  gate.open();
  CHECK(first.result() == 1);
  pool.shutdown();
  CHECK_FALSE(posted_ran);
}

TEST_CASE("shutdown with cancel_futures cancels what tasks have submitted") {
  ThreadPoolExecutor pool(1);
  std::latch submitted(1);
  support::Gate gate;
  std::vector<Future<int>> inner;
  const auto task = pool.submit([&, at_gate = gate.waiter()] {
    for (int i = 0; i < 20; ++i) inner.push_back(pool.submit([] { return 1; }));
    submitted.count_down();
    at_gate();
  });
  submitted.wait();
  pool.shutdown(false, true);
  gate.open();
  pool.shutdown();
  CHECK(task.exception() == nullptr);
  for (const auto& one : inner) CHECK(one.cancelled());
}

TEST_CASE("what was accepted may not submit more after shutdown, and says so in its future") {
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  const auto task = pool.submit([&pool, at_gate = gate.waiter()] {
    at_gate();
    return pool.submit([] { return 1; }).result();
  });
  pool.shutdown(false);
  gate.open();
  CHECK_THROWS_AS(task.result(), ShutdownError);
}

TEST_CASE("tasks that were accepted may still wait for each other after shutdown") {
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  Future<int> second;
  const auto first = pool.submit([&second, at_gate = gate.waiter()] {
    at_gate();
    return second.result() + 1;
  });
  second = pool.submit([] { return 1; });
  pool.shutdown(false);
  gate.open();
  CHECK(first.result() == 2);
}

TEST_CASE("shutdown from inside a task is an error when it would wait for the task") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] { pool.shutdown(); });
  CHECK_THROWS_AS(task.result(), Error);
  CHECK_THROWS_AS(pool.submit([] {}), ShutdownError);  // but no more tasks are taken
}

TEST_CASE("shutdown without waiting is fine inside a task") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] { pool.shutdown(false); });
  CHECK(task.exception() == nullptr);
  CHECK_THROWS_AS(pool.submit([] {}), ShutdownError);
}

TEST_CASE("shutdown inside a task can cancel what is pending") {
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  const auto task = pool.submit([&pool, at_gate = gate.waiter()] {
    at_gate();
    pool.shutdown(false, true);
  });
  const auto pending = pool.submit([] {});
  gate.open();
  CHECK(task.exception() == nullptr);
  CHECK_THROWS_AS(pending.result(), CancelledError);
}

TEST_CASE("several threads may shut the same pool down at once") {
  for (int round = 0; round < 50; ++round) {
    ThreadPoolExecutor pool(2);
    std::atomic<int> ran{0};
    for (int i = 0; i < 10; ++i) pool.post([&ran] { ++ran; });
    std::atomic<int> returned{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          pool.shutdown();
          if (ran == 10) ++returned;  // each of them has waited
        });
      }
    }
    REQUIRE(returned == 3);
  }
}

TEST_CASE("destroying a pool completes what is queued") {
  std::vector<Future<int>> tasks;
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    for (int i = 0; i < 100; ++i) tasks.push_back(pool.submit([i] { return i; }));
  }
  for (int i = 0; i < 100; ++i) CHECK(tasks[static_cast<std::size_t>(i)].result() == i);
}

TEST_CASE("a scope that is left by an exception waits too") {
  std::atomic<bool> ran{false};
  try {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    pool.post([&ran] { ran = true; });
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
    CHECK(ran);
  }
  CHECK(ran);
}

TEST_CASE("futures outlive their pool") {
  std::optional<Future<std::string>> task;
  std::optional<Future<int>> failed;
  {
    ThreadPoolExecutor pool(1);
    task = pool.submit([] { return std::string("text"); });
    failed = pool.submit([]() -> int { throw std::runtime_error("oops"); });
  }
  CHECK(task->result() == "text");
  CHECK_THROWS_WITH(failed->result(), "oops");
  CHECK_FALSE(task->cancel());
  const auto next = task->then([](const std::string& text) { return text.size(); });
  CHECK(next.result() == 4);
}

TEST_CASE("a pool that is destroyed in its own worker lets what was accepted finish") {
  std::vector<Future<int>> tasks;
  {
    auto pool = std::make_shared<ThreadPoolExecutor>(
        ThreadPoolExecutor::Options{.max_workers = 1, .thread_name_prefix = "own"});
    support::Gate gate;
    tasks.push_back(pool->submit([pool, at_gate = gate.waiter()] {
      at_gate();
      return 1;
    }));
    for (int i = 0; i < 10; ++i) tasks.push_back(pool->submit([] { return 1; }));
    pool.reset();  // the first task holds it now
    gate.open();
  }
  for (const auto& task : tasks) CHECK(task.result() == 1);
  support::await_threads("own", 0);
}

TEST_CASE("a pool may be destroyed by a callback in its own worker") {
  auto pool = std::make_unique<ThreadPoolExecutor>(
      ThreadPoolExecutor::Options{.max_workers = 2, .thread_name_prefix = "callback"});
  support::Gate gate;
  std::latch destroyed(1);
  const auto task = pool->submit(gate.waiter());
  task.add_done_callback([&](const Future<void>&) {
    pool.reset();
    destroyed.count_down();
  });
  gate.open();
  destroyed.wait();
  CHECK(pool == nullptr);
  support::await_threads("callback", 0);
}

TEST_CASE("a pool may be destroyed by a callback in the thread that cancels") {
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  auto occupied = std::make_unique<support::Occupied<ThreadPoolExecutor>>(*pool);
  auto task = pool->submit([] {});
  task.add_done_callback([&](const Future<void>&) {
    occupied.reset();
    pool.reset();
  });
  CHECK(task.cancel());
  CHECK(pool == nullptr);
}

TEST_CASE("a pool may be destroyed while another thread waits for its futures") {
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  auto occupied = std::make_unique<support::Occupied<ThreadPoolExecutor>>(*pool);
  const auto task = pool->submit([] { return 1; });
  int seen = 0;
  {
    std::jthread waiter([&seen, task] { seen = task.result(); });
    occupied.reset();
    pool.reset();
  }
  CHECK(seen == 1);
}

TEST_CASE("a task may own and destroy another pool") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([] {
    ThreadPoolExecutor inner(2);
    return inner.submit([] { return 7; }).result();
  });
  CHECK(task.result() == 7);
}

TEST_CASE("a thousand pools are made, used and destroyed without leaving a thread") {
  for (std::size_t i = 0; i < support::scaled(1000); ++i) {
    ThreadPoolExecutor pool({.max_workers = 2, .thread_name_prefix = "thousand"});
    REQUIRE(pool.submit([] { return 1; }).result() == 1);
  }
  support::await_threads("thousand", 0);
}

TEST_CASE("a destructor races with the last task") {
  for (std::size_t i = 0; i < support::scaled(4000); ++i) {
    std::atomic<int> ran{0};
    {
      ThreadPoolExecutor pool(2);
      pool.post([&ran] { ++ran; });
      if (i % 2 == 0) pool.post([&ran] { ++ran; });
    }
    REQUIRE(ran == (i % 2 == 0 ? 2 : 1));
  }
}

TEST_CASE("a million submits from four threads race with shutdown, and every accepted one resolves",
          "[limit:300]") {
  const std::size_t per_thread = support::scaled(250'000);
  const bool cancel = GENERATE(false, true);
  ThreadPoolExecutor pool(2);
  std::vector<std::vector<Future<std::size_t>>> accepted(4);
  std::latch halfway(1);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : accepted) {
      const bool tells = &mine == &accepted.front();
      threads.emplace_back([&pool, &mine, &halfway, tells] {
        mine.reserve(per_thread);
        try {
          for (std::size_t i = 0; i < per_thread; ++i) {
            mine.push_back(pool.submit([i] { return i; }));
            if (tells && i == per_thread / 2) halfway.count_down();
          }
        } catch (const ShutdownError&) {
        }
      });
    }
    halfway.wait();
    pool.shutdown(true, cancel);
  }
  std::size_t resolved = 0;
  std::size_t wrong = 0;
  for (const auto& mine : accepted) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (!mine[i].done()) continue;
      ++resolved;
      if (mine[i].cancelled()) {
        if (!cancel) ++wrong;
      } else if (mine[i].result() != i) {
        ++wrong;
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(resolved ==
        accepted[0].size() + accepted[1].size() + accepted[2].size() + accepted[3].size());
  CHECK(resolved > per_thread / 2);
}

TEST_CASE("cancel races with start and finish, with exactly one outcome") {
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < support::scaled(20'000); ++round) {
    std::atomic<int> ran{0};
    std::atomic<int> callbacks{0};
    auto task = pool.submit([&ran] { ++ran; });
    task.add_done_callback([&callbacks](const Future<void>&) { ++callbacks; });
    const bool cancelled = task.cancel();
    static_cast<void>(wait(std::vector{task}));
    REQUIRE(cancelled == task.cancelled());
    REQUIRE(ran == (cancelled ? 0 : 1));
    while (callbacks == 0) std::this_thread::yield();
    REQUIRE(callbacks == 1);
  }
}

TEST_CASE("nothing is lost when a pool sleeps and is woken again and again") {
  ThreadPoolExecutor pool(2);
  for (std::size_t i = 0; i < support::scaled(20'000); ++i) {
    REQUIRE(pool.submit([i] { return i; }).result() == i);
  }
}
