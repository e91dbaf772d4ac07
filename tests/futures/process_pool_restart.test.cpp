// SPDX-License-Identifier: MIT

// Process pools that survive the death of workers, run tasks again, and end tasks that run.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <latch>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;
using namespace process_test;
using namespace std::chrono_literals;
using support::matchers::contains;

namespace {

[[noreturn]] void crash() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}
[[noreturn]] void leave(int status) { ::_exit(status); }

/// Counts its attempts, and dies in the first `deaths` of them.
int die_first(int deaths) {
  if (++board()->flag.at(0) <= deaths) crash();
  return board()->flag.at(0);
}
std::size_t die_first_with(int deaths, const std::string& text) {
  die_first(deaths);
  return text.size();
}
void run_for_ever() {
  board()->pid.at(0) = ::getpid();
  board()->flag.at(0) = 1;
  for (;;) ::pause();
}
void run_for_ever_with_a_child() {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  board()->pid.at(1) = child;
  run_for_ever();
}

ProcessPoolExecutor::Options surviving(std::size_t max_workers) {
  return {.max_workers = max_workers, .on_worker_death = OnWorkerDeath::restart};
}

/// What the task's end was; the test fails for another end.
WorkerDied died(const Future<void>& future) {
  try {
    future.result(60s);
  } catch (const WorkerDied& error) {
    return error;
  }
  FAIL("the task's worker did not die");
  throw std::logic_error("not reached");
}

}  // namespace

TEST_CASE("with restart, a crash is the outcome of its task alone, and says what happened") {
  ProcessPoolExecutor executor(surviving(1));
  const pid_t pid = executor.submit(::getpid).result(60s);
  const auto before = executor.submit(square, 3);
  const auto crashes = executor.submit(TaskOptions{.name = "the crasher"}, crash);
  const auto after = executor.submit(square, 4);
  CHECK(before.result(60s) == 9);
  const WorkerDied error = died(crashes);
  CHECK(error.pid == pid);
  CHECK(error.signal == SIGKILL);
  CHECK(error.task == "the crasher");
  CHECK_THAT(error.what(), contains("signal 9") && contains("the crasher"));
  CHECK(after.result(60s) == 16);
  CHECK(executor.submit(::getpid).result(60s) != pid);
}

TEST_CASE("with restart, a task that exits tells its status") {
  ProcessPoolExecutor executor(surviving(2));
  const WorkerDied error = died(executor.submit(leave, 7));
  CHECK(error.signal == 0);
  CHECK(error.exit_status == 7);
}

TEST_CASE("a task that may be retried is run again when its worker dies") {
  const SharedBoard shared;
  ProcessPoolExecutor executor(surviving(2));
  CHECK(executor.submit(TaskOptions{.max_retries = 2}, die_first, 2).result(60s) == 3);
  board()->flag.at(0) = 0;
  const std::string text(3'000'000, 'x');  // which does not fit into a ring
  const TaskOptions once_more{.max_retries = 1};
  CHECK(executor.submit(once_more, die_first_with, 1, text).result(60s) == text.size());
}

TEST_CASE("a task that kills every worker is given up after its retries") {
  const SharedBoard shared;
  ProcessPoolExecutor executor(surviving(2));
  const auto future = executor.submit(TaskOptions{.max_retries = 3}, die_first, 1000);
  CHECK_THROWS_AS(future.result(60s), WorkerDied);
  CHECK(board()->flag.at(0) == 4);
  CHECK_THROWS_WITH(future.result(), contains("attempt 4"));
  CHECK(executor.submit(square, 5).result(60s) == 25);
}

TEST_CASE("a task that waits for another attempt can be cancelled, and then it is done") {
  const SharedBoard shared;
  ProcessPoolExecutor executor(surviving(1));
  for (int round = 0; round < 20; ++round) {
    auto future = executor.submit(TaskOptions{.max_retries = 1'000}, die_first, 1'000'000);
    const int wanted = board()->flag.at(0) + 1;
    REQUIRE(within(60s, [&] { return board()->flag.at(0) >= wanted; }));
    CHECK(future.cancel_running());
    CHECK(future.cancelled());
  }
  CHECK(executor.submit(square, 6).result(60s) == 36);
}

TEST_CASE("shutdown that cancels takes a task that waits for another attempt along") {
  const SharedBoard shared;
  ProcessPoolExecutor executor(surviving(1));
  const auto future = executor.submit(TaskOptions{.max_retries = 1'000'000}, die_first, 1'000'000);
  REQUIRE(within(60s, [] { return board()->flag.at(0) >= 2; }));
  auto ends = future;
  executor.shutdown(false, true);
  ends.cancel_running();
  executor.shutdown();
  CHECK(future.done());
}

TEST_CASE("when idle workers are killed, the pool goes on") {
  ProcessPoolExecutor executor(surviving(2));
  for (int round = 0; round < 5; ++round) {
    const pid_t pid = executor.submit(::getpid).result(60s);
    ::kill(pid, SIGKILL);
    CHECK(within(60s, [pid] { return gone(pid); }));
    CHECK(executor.submit(TaskOptions{.max_retries = 1}, square, 7).result(60s) == 49);
  }
}

TEST_CASE("workers that die again and again before they are ready break the pool") {
  ProcessPoolExecutor executor({.max_workers = 1,
                                .initializer = [] { ::_exit(3); },
                                .on_worker_death = OnWorkerDeath::restart});
  CHECK_THAT(failure_of(executor.submit(square, 1)),
             contains("status 3") && contains("before it was ready"));
  CHECK_THROWS_AS(executor.submit(square, 1), BrokenProcessPool);
}

TEST_CASE("under random kills every future is its result or WorkerDied, and none is lost") {
  ProcessPoolExecutor executor(surviving(3));
  std::vector<Future<pid_t>> pids;
  std::vector<Future<int>> futures;
  std::minstd_rand random(1);
  std::size_t died = 0;
  for (std::size_t round = 0; round < support::scaled(100); ++round) {
    for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(square, i));
    const auto pid = executor.submit(::getpid);
    if (random() % 2 == 0) ::usleep(static_cast<useconds_t>(random() % 500));
    try {
      ::kill(pid.result(60s), SIGKILL);
    } catch (const WorkerDied&) {
    }
  }
  for (std::size_t i = 0; i < futures.size(); ++i) {
    int result = -1;
    try {
      result = futures[i].result(60s);
    } catch (const WorkerDied&) {
      ++died;
      continue;
    }
    CHECK(result == square(static_cast<int>(i % 50)));
  }
  CHECK(died <= support::scaled(100));
}

TEST_CASE("a task that waited in a ring is run again too") {
  const SharedBoard shared;
  ProcessPoolExecutor executor(surviving(1));
  const auto rest = [](int microseconds) { ::usleep(static_cast<useconds_t>(microseconds)); };
  for (std::size_t round = 0; round < support::scaled(100); ++round) {
    board()->flag.at(0) = 0;
    for (int i = 0; i < 50; ++i) executor.post(square, i);  // shows that the worker is fast
    CHECK(executor.wait_idle(60s));
    executor.post(rest, 150);
    auto retried = executor.submit(TaskOptions{.max_retries = 1}, die_first, 1);
    CHECK(retried.result(60s) == 2);
    CHECK(executor.wait_idle(60s));
  }
}

TEST_CASE("a running task can be cancelled: its worker ends, with what it has started") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  auto running = executor.submit(run_for_ever_with_a_child);
  sleep_until_flag(0);
  const auto behind = executor.submit(square, 8);
  CHECK_FALSE(running.cancel());
  CHECK(running.cancel_running());
  CHECK(running.cancelled());
  CHECK_THROWS_AS(running.result(), CancelledError);
  CHECK(behind.result(60s) == 64);
  CHECK(within(60s, [] { return gone(board()->pid.at(0)) && gone(board()->pid.at(1)); }));
}

TEST_CASE("cancel_running cancels what is queued, and nothing that is done") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  auto done = executor.submit(square, 2);
  CHECK(done.result(60s) == 4);
  CHECK_FALSE(done.cancel_running());
  auto running = executor.submit(run_for_ever);
  sleep_until_flag(0);
  auto queued = executor.submit(square, 3);
  CHECK(queued.cancel_running());
  CHECK(queued.cancelled());
  CHECK(running.cancel_running());
}

TEST_CASE("callbacks of a task that is cancelled while it runs are called, and may use the pool") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  auto running = executor.submit(run_for_ever);
  sleep_until_flag(0);
  Future<int> next;
  running.add_done_callback([&](const Future<void>& future) {
    CHECK(future.cancelled());
    next = executor.submit(square, 9);
  });
  CHECK(running.cancel_running());
  CHECK(next.result(60s) == 81);
}

TEST_CASE("a cancellation and a result that meet leave exactly one outcome") {
  ProcessPoolExecutor executor({.max_workers = 2});
  std::minstd_rand random(1);
  const auto rest = [](int microseconds) {
    ::usleep(static_cast<useconds_t>(microseconds));
    return microseconds;
  };
  for (std::size_t round = 0; round < support::scaled(200); ++round) {
    std::vector<Future<int>> others;
    auto target = executor.submit(rest, static_cast<int>(random() % 300));
    for (int i = 0; i < 5; ++i) others.push_back(executor.submit(square, i));
    ::usleep(static_cast<useconds_t>(random() % 400));
    const bool cancelled = target.cancel_running();
    if (cancelled) {
      CHECK(target.cancelled());
    } else {
      CHECK(target.result(60s) < 300);
    }
    for (int i = 0; i < 5; ++i) {
      CHECK(others[static_cast<std::size_t>(i)].result(60s) == i * i);
    }
  }
}

TEST_CASE("a task can be cancelled while it is being handed over") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto rest = [] { ::usleep(300); };
  for (std::size_t round = 0; round < support::scaled(200); ++round) {
    executor.post(rest);
    auto target = executor.submit(TaskOptions{.timeout = 60s}, rest);  // waits in no ring
    std::jthread other([&] {
      while (!target.done() && !(target.running() && target.cancel_running())) {
      }
    });
    try {
      target.result(60s);
    } catch (const CancelledError&) {
    }
  }
  CHECK(executor.submit(square, 2).result(60s) == 4);
}

TEST_CASE("nobody can end a task that runs in a thread") {
  ThreadPoolExecutor executor(1);
  std::latch started(1);
  std::latch end(1);
  auto running = executor.submit([&] {
    started.count_down();
    end.wait();
  });
  started.wait();
  CHECK_FALSE(running.cancel_running());
  end.count_down();
  running.result();
  CHECK_THROWS_AS(executor.submit(TaskOptions{.max_retries = 1}, square, 1), std::invalid_argument);
}
