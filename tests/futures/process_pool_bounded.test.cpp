// SPDX-License-Identifier: MIT

// Process pools with .max_pending.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace concurrent::futures;
using namespace process_test;
using namespace std::chrono_literals;
using support::matchers::contains;

namespace {

int itself(int value) { return value; }
std::string text_of_size(std::size_t size) { return std::string(size, 'x'); }
pid_t where() { return ::getpid(); }
[[noreturn]] void oops() { throw std::runtime_error("oops"); }
void wait_for_the_end() {
  board()->flag.at(0) = 1;
  sleep_until_flag(1);
}

/// A pool whose only worker has a task until the end of the scope, so that later ones wait.
class BusyPool {
 public:
  BusyPool(std::size_t max_pending, WhenFull when_full)
      : pool({.max_workers = 1, .max_pending = max_pending, .when_full = when_full}),
        running_(pool.submit(wait_for_the_end)) {
    sleep_until_flag(0);
  }
  BusyPool(const BusyPool&) = delete;
  BusyPool& operator=(const BusyPool&) = delete;
  ~BusyPool() { release(); }
  void release() { board()->flag.at(1) = 1; }

 private:
  SharedBoard board_;

 public:
  ProcessPoolExecutor pool;

 private:
  Future<void> running_;
};

}  // namespace

TEST_CASE("processes: a bound of zero is refused") {
  CHECK_THROWS_WITH(ProcessPoolExecutor({.max_pending = 0}), "max_pending must be greater than 0");
}

TEST_CASE("processes: a full pool throws QueueFullError and has accepted nothing") {
  BusyPool busy(2, WhenFull::throw_error);
  std::vector<Future<int>> accepted;
  for (int i = 0; i < 2; ++i) accepted.push_back(busy.pool.submit(itself, i));
  CHECK_THROWS_AS(busy.pool.submit(itself, 2), QueueFullError);
  CHECK_THROWS_AS(busy.pool.post(itself, 2), QueueFullError);
  CHECK_THROWS_WITH(busy.pool.submit(itself, 2), contains("2"));
  busy.release();
  for (int i = 0; i < 2; ++i) CHECK(accepted[static_cast<std::size_t>(i)].result(60s) == i);
  CHECK(busy.pool.submit(itself, 3).result(60s) == 3);  // there is room again
}

TEST_CASE("processes: what was cancelled leaves its place at once") {
  BusyPool busy(3, WhenFull::block);
  std::vector<Future<int>> queued;
  for (int i = 0; i < 3; ++i) queued.push_back(busy.pool.submit(itself, i));
  Future<int> last;
  std::jthread submitter([&] { last = busy.pool.submit(itself, 7); });
  CHECK(queued[1].cancel());
  submitter.join();  // the worker is busy still
  busy.release();
  CHECK(last.result(60s) == 7);
  CHECK(queued[0].result(60s) == 0);
  CHECK(queued[2].result(60s) == 2);
}

TEST_CASE("processes: delayed tasks do not count against the bound before they are due") {
  ProcessPoolExecutor pool(
      {.max_workers = 1, .max_pending = 1, .when_full = WhenFull::throw_error});
  std::vector<Future<int>> delayed;
  for (int i = 0; i < 5; ++i) {
    delayed.push_back(pool.submit(TaskOptions{.delay = std::chrono::hours(1)}, itself, i));
  }
  CHECK(pool.submit(itself, 1).result(60s) == 1);
  for (auto& task : delayed) CHECK(task.cancel());
}

TEST_CASE("processes: a full pool runs the task in the process that submits it, if told so") {
  BusyPool busy(1, WhenFull::run_in_caller);
  const auto queued = busy.pool.submit(where);
  const auto here = busy.pool.submit(where);
  REQUIRE(here.done());
  CHECK(here.result() == ::getpid());
  CHECK(failure_of(busy.pool.submit(oops)) == "oops");
  static std::atomic<bool> posted;
  posted = false;
  busy.pool.post([] { posted = true; });
  CHECK(posted);
  CHECK_FALSE(queued.done());
  busy.release();
  CHECK(queued.result(60s) != ::getpid());
}

TEST_CASE("processes: a full pool blocks the submitter until there is room") {
  BusyPool busy(1, WhenFull::block);
  const auto first = busy.pool.submit(itself, 1);
  std::atomic<bool> accepted{false};
  Future<int> second;
  std::jthread submitter([&] {
    second = busy.pool.submit(itself, 2);
    accepted = true;
  });
  CHECK_THROWS_AS(first.result(5ms), TimeoutError);
  CHECK_FALSE(accepted);
  busy.release();
  submitter.join();
  CHECK(accepted);
  CHECK(second.result(60s) == 2);
}

TEST_CASE("processes: many submitters pass through a narrow queue") {
  // What is too large for the ring comes back another way.
  const std::size_t size = GENERATE(std::size_t{1}, std::size_t{20'000});
  ProcessPoolExecutor pool({.max_workers = 2, .max_pending = 3, .when_full = WhenFull::block});
  std::atomic<std::size_t> sum{0};
  {
    std::vector<std::jthread> submitters;
    for (int thread = 0; thread < 4; ++thread) {
      submitters.emplace_back([&] {
        std::vector<Future<std::string>> futures;
        for (int i = 0; i < 300; ++i) futures.push_back(pool.submit(text_of_size, size));
        for (auto& future : futures) sum += std::move(future).result().size();
      });
    }
  }
  CHECK(sum == 1200 * size);
}

TEST_CASE("processes: shutdown and a broken pool wake a blocked submitter, which is refused") {
  const bool breaks = GENERATE(false, true);
  CAPTURE(breaks);
  BusyPool busy(1, WhenFull::block);
  const auto first = busy.pool.submit(itself, 1);
  std::atomic<int> refused{0};
  std::jthread submitter([&] {
    try {
      static_cast<void>(busy.pool.submit(itself, 2));
    } catch (const ShutdownError&) {
      refused = 1;
    } catch (const BrokenProcessPool&) {
      refused = 2;
    }
  });
  CHECK_THROWS_AS(first.result(5ms), TimeoutError);
  if (breaks) {
    for (const pid_t server : children()) ::kill(server, SIGKILL);
  } else {
    busy.pool.shutdown(false);
  }
  submitter.join();
  CHECK(refused == (breaks ? 2 : 1));
}

TEST_CASE("processes: what a done-callback submits finds room") {
  ProcessPoolExecutor pool({.max_workers = 1, .max_pending = 1, .when_full = WhenFull::block});
  std::atomic<int> done{0};
  for (int i = 0; i < 20; ++i) {
    pool.submit(itself, i).add_done_callback([&](const Future<int>&) {
      for (int j = 0; j < 3; ++j) {
        pool.submit(itself, j).add_done_callback([&](const Future<int>&) { ++done; });
      }
    });
  }
  CHECK(pool.wait_idle(60s));
  CHECK(done == 60);
}
