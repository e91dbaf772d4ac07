// SPDX-License-Identifier: MIT

// Tasks that a process pool has put behind others in a worker's ring: they can be cancelled, they
// wait for no long task, and they survive or share the fate of their worker as they should.

#include <algorithm>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"
#include "support/scaled.hpp"

using namespace process_test;
using namespace std::chrono_literals;
using concurrent::futures::TaskOptions;
using concurrent::futures::TimeoutError;

namespace {

std::size_t size_of(const std::string& text) { return text.size(); }

/// Lets the pool see that its workers are fast, so that it puts tasks behind tasks.
void warm_up(ProcessPoolExecutor& executor) {
  for (int round = 0; round < 20; ++round) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(executor.submit(square, i));
    for (const auto& future : futures) static_cast<void>(future.result(60s));
  }
}

}  // namespace

TEST_CASE("a long task holds no short one behind it, however fast its worker was before") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  for (int round = 0; round < 10; ++round) {
    warm_up(executor);
    board()->flag[0] = 0;
    std::vector<Future<int>> shorts;
    for (int i = 0; i < 20; ++i) shorts.push_back(executor.submit(square, i));
    const auto blocked = executor.submit([] { sleep_until_flag(0); });
    for (int i = 0; i < 200; ++i) shorts.push_back(executor.submit(square, i));
    for (const auto& future : shorts) static_cast<void>(future.result(60s));
    CHECK_FALSE(blocked.done());
    board()->flag[0] = 1;
    blocked.result(60s);
  }
}

TEST_CASE("what is submitted in a busy time runs, though nobody comes for it") {
  ProcessPoolExecutor executor({.max_workers = 2});
  warm_up(executor);
  for (int burst = 1; burst <= 100; ++burst) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < burst; ++i) futures.push_back(executor.submit(square, i));
    if (burst % 3 == 0) futures.push_back(executor.submit(TaskOptions{.delay = 1ms}, square, 7));
    const auto done = [](const auto& future) { return future.done(); };
    while (!std::all_of(futures.begin(), futures.end(), done)) std::this_thread::sleep_for(20us);
  }
}

TEST_CASE("what waits behind a task in a worker can be cancelled, and never runs then") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  for (int round = 0; round < 20; ++round) {
    warm_up(executor);
    board()->flag[0] = 0;
    board()->flag[1] = 0;
    const auto blocked = executor.submit([] { sleep_until_flag(0); });
    std::vector<Future<void>> behind;
    for (int i = 0; i < 30; ++i) {
      behind.push_back(executor.submit([] { ++board()->flag[1]; }));
    }
    int cancelled = 0;
    for (std::size_t i = 0; i < behind.size(); i += 2) cancelled += behind[i].cancel() ? 1 : 0;
    CHECK(cancelled == 15);  // no worker has begun them
    board()->flag[0] = 1;
    REQUIRE(executor.wait_idle(60s));
    CHECK(board()->flag[1] == 15);
    for (std::size_t i = 0; i < behind.size(); ++i) CHECK(behind[i].cancelled() == (i % 2 == 0));
  }
}

TEST_CASE("a cancellation that races with the workers decides whether a task runs") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  warm_up(executor);
  const std::size_t count = support::scaled(20000);
  std::vector<Future<int>> futures;
  std::size_t cancelled = 0;
  for (std::size_t i = 0; i < count; ++i) {
    futures.push_back(executor.submit([] { return board()->flag[0].fetch_add(1) >= 0 ? 1 : 0; }));
    if (i % 3 == 2 && futures[i - i % 7 % 3].cancel()) ++cancelled;
  }
  REQUIRE(executor.wait_idle(60s));
  std::size_t ran = 0;
  std::size_t seen_cancelled = 0;
  for (const auto& future : futures) {
    REQUIRE(future.done());
    if (future.cancelled()) {
      ++seen_cancelled;
    } else {
      ran += static_cast<std::size_t>(future.result());
    }
  }
  CHECK(ran + seen_cancelled == count);
  CHECK(static_cast<std::size_t>(board()->flag[0]) == ran);
  CHECK(cancelled >= seen_cancelled);
}

TEST_CASE("shutdown with cancel_futures cancels what waits in the workers' rings too") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  warm_up(executor);
  const auto blocked = executor.submit([] {
    board()->flag[1] = 1;
    sleep_until_flag(0);
  });
  sleep_until_flag(1);
  std::vector<Future<int>> behind;
  for (int i = 0; i < 50; ++i) behind.push_back(executor.submit(square, i));
  executor.shutdown(false, true);
  for (const auto& future : behind) CHECK(future.cancelled());
  board()->flag[0] = 1;
  blocked.result(60s);
}

TEST_CASE("a worker that is stopped holds only its own task, and goes on when it may") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  warm_up(executor);
  const auto stopped = executor.submit([] {
    board()->pid[0] = ::getpid();
    ::raise(SIGSTOP);
    return 1;
  });
  std::vector<Future<int>> others;
  for (int i = 0; i < 500; ++i) others.push_back(executor.submit(square, i));
  for (const auto& future : others) static_cast<void>(future.result(60s));
  REQUIRE(within(30s, [] { return board()->pid[0] != 0; }));
  CHECK_FALSE(stopped.done());
  // It may not have stopped yet: ask until it goes on.
  REQUIRE(within(60s, [&] {
    ::kill(board()->pid[0], SIGCONT);
    return stopped.done();
  }));
  CHECK(stopped.result() == 1);
}

TEST_CASE("rings that are full in front of a stopped worker empty when it goes on") {
  ProcessPoolExecutor executor({.max_workers = 1});
  warm_up(executor);
  const pid_t worker = executor.submit([] { return ::getpid(); }).result();
  ::kill(worker, SIGSTOP);
  std::vector<Future<std::size_t>> sizes;
  for (std::size_t i = 0; i < 300; ++i) {
    sizes.push_back(executor.submit(size_of, std::string(9000 + i, 'x')));
  }
  std::vector<Future<std::string>> texts;
  for (std::size_t i = 0; i < 300; ++i) {
    texts.push_back(executor.submit([](std::size_t size) { return std::string(size, 'y'); },
                                    std::size_t{9000} + i));
  }
  ::kill(worker, SIGCONT);
  for (std::size_t i = 0; i < 300; ++i) {
    CHECK(sizes[i].result(60s) == 9000 + i);
    CHECK(texts[i].result(60s).size() == 9000 + i);
  }
}

TEST_CASE("a timeout kills only the task that overran, not those that were queued with it") {
  ProcessPoolExecutor executor({.max_workers = 2});
  warm_up(executor);
  std::vector<Future<int>> before;
  for (int i = 0; i < 100; ++i) before.push_back(executor.submit(square, i));
  const auto slow = executor.submit(TaskOptions{.timeout = 30ms}, [] { ::pause(); });
  std::vector<Future<int>> after;
  for (int i = 0; i < 100; ++i) after.push_back(executor.submit(square, i));
  CHECK(fails_with<TimeoutError>(slow));
  for (int i = 0; i < 100; ++i) {
    CHECK(before[static_cast<std::size_t>(i)].result(60s) == i * i);
    CHECK(after[static_cast<std::size_t>(i)].result(60s) == i * i);
  }
}

TEST_CASE("max_tasks_per_child counts what waits in rings") {
  ProcessPoolExecutor executor({.max_workers = 2, .max_tasks_per_child = 10});
  std::vector<Future<pid_t>> futures;
  for (int i = 0; i < 300; ++i) futures.push_back(executor.submit([] { return ::getpid(); }));
  std::map<pid_t, int> tasks_of;
  for (const auto& future : futures) ++tasks_of[future.result(60s)];
  for (const auto& [pid, tasks] : tasks_of) CHECK(tasks <= 10);
}

TEST_CASE("many threads submit, wait and cancel at once, and every future has one outcome") {
  ProcessPoolExecutor executor({.max_workers = 2});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t round = 0; round < support::scaled(200); ++round) {
        std::vector<Future<int>> futures;
        for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(square, i));
        if (t == 1) futures[30].cancel();
        if (t == 2) concurrent::futures::wait(futures);
        for (int i = 0; i < 50; ++i) {
          const auto& future = futures[static_cast<std::size_t>(i)];
          try {
            wrong += future.result(60s) != i * i ? 1 : 0;
          } catch (const concurrent::futures::CancelledError&) {
            wrong += t != 1 || i != 30 ? 1 : 0;
          } catch (...) {
            ++wrong;
          }
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("callbacks come for every task, in a busy pool too") {
  std::atomic<int> called = 0;
  const int count = static_cast<int>(support::scaled(4000));
  {
    ProcessPoolExecutor executor({.max_workers = 2});
    for (int i = 0; i < count; ++i) {
      executor.submit(square, i).add_done_callback(
          [&called, i](const Future<int>& future) { called += future.result() == i * i ? 1 : 0; });
    }
  }
  CHECK(called == count);
}

TEST_CASE("SIGKILL of a worker at any moment under load leaves every future one right outcome") {
  std::mt19937 random(7);
  for (std::size_t round = 0; round < support::scaled(100); ++round) {
    std::vector<Future<int>> small;
    std::vector<Future<std::string>> large;
    {
      ProcessPoolExecutor executor({.max_workers = 3});
      const pid_t victim = executor.submit([] { return ::getpid(); }).result(60s);
      const auto delay = random() % 3000;
      std::thread kills([victim, delay] {
        const auto end = Clock::now() + std::chrono::microseconds(delay);
        while (Clock::now() < end) std::this_thread::yield();
        ::kill(victim, SIGKILL);
      });
      try {
        for (int i = 0; i < 1000; ++i) {
          small.push_back(executor.submit(square, i));
          if (i % 100 == 0) {
            large.push_back(executor.submit([](std::string text) { return text; },
                                            std::string(60000 + static_cast<std::size_t>(i), 'z')));
          }
        }
      } catch (const BrokenProcessPool&) {
      }
      kills.join();
    }
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < small.size(); ++i) {
      REQUIRE(small[i].done());
      const auto expected = static_cast<int>(i * i);
      wrong += small[i].exception() != nullptr ? !fails_with<BrokenProcessPool>(small[i])
                                               : small[i].result() != expected;
    }
    for (std::size_t i = 0; i < large.size(); ++i) {
      REQUIRE(large[i].done());
      wrong += large[i].exception() != nullptr ? !fails_with<BrokenProcessPool>(large[i])
                                               : large[i].result().size() != 60000 + 100 * i;
    }
    CHECK(wrong == 0);
  }
  CHECK(children().empty());
}
