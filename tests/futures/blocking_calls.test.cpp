// SPDX-License-Identifier: MIT

// What every call that blocks has in common: timeouts of any kind, and signals in between.

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <limits>
#include <ratio>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

using Seconds = std::chrono::duration<double>;
using Hours = std::chrono::duration<std::int64_t, std::ratio<3600>>;

/// Timeouts that are over at once.
std::vector<Timeout> none() {
  return {0s,
          -1s,
          Hours::min(),
          std::chrono::nanoseconds::min(),
          Seconds(-1e300),
          Seconds(-std::numeric_limits<double>::infinity()),
          Seconds(-0.0)};
}

/// Timeouts that are never over.
std::vector<Timeout> endless() {
  return {Timeout(),
          Hours::max(),
          std::chrono::nanoseconds::max(),
          std::chrono::seconds::max(),
          std::chrono::duration<std::uint64_t>::max(),
          Seconds::max(),
          Seconds(1e300),
          Seconds(std::numeric_limits<double>::infinity())};
}

/// Sends signals to the thread that made it, many a second, while it lives.
class Signals {
 public:
  Signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { ++received_; };  // no SA_RESTART: system calls give EINTR
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, &before_);
    sender_ = std::jthread([target = pthread_self()](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pthread_kill(target, SIGUSR1);
        std::this_thread::sleep_for(200us);
      }
    });
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    sender_ = {};
    sigaction(SIGUSR1, &before_, nullptr);
  }

  /// Returns when at least `count` more have arrived.
  static void await(int count) {
    const int until = received_ + count;
    while (received_ < until) std::this_thread::yield();
  }

 private:
  inline static std::atomic<int> received_{0};
  struct sigaction before_ {};
  std::jthread sender_;
};

}  // namespace

TEST_CASE("a timeout of zero or less does not wait") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto task = pool.submit([] { return 1; });
  for (const Timeout timeout : none()) {
    CHECK_THROWS_AS(task.result(timeout), TimeoutError);
    CHECK_THROWS_AS(task.exception(timeout), TimeoutError);
    CHECK(wait(std::vector{task}, {.timeout = timeout}).done.empty());
    CHECK_THROWS_AS(as_completed(std::vector{task}, timeout).begin(), TimeoutError);
    CHECK_FALSE(pool.wait_idle(timeout));
  }
}

TEST_CASE("a timeout of zero or less gives what is done already") {
  Future<int> future;
  future.set_result(1);
  for (const Timeout timeout : none()) {
    CHECK(future.result(timeout) == 1);
    CHECK(future.exception(timeout) == nullptr);
    CHECK(wait(std::vector{future}, {.timeout = timeout}).done.size() == 1);
    CHECK(*as_completed(std::vector{future}, timeout).begin() == future);
  }
}

TEST_CASE("a timeout too long for any clock waits without end") {
  for (const Timeout timeout : endless()) {
    Future<int> future;
    std::jthread completer([future]() mutable { future.set_result(1); });
    CHECK(future.result(timeout) == 1);
    CHECK(wait(std::vector{future}, {.timeout = timeout}).done.size() == 1);
    CHECK(*as_completed(std::vector{future}, timeout).begin() == future);
  }
  ThreadPoolExecutor pool(1);
  for (const Timeout timeout : endless()) {
    pool.post([] {});
    CHECK(pool.wait_idle(timeout));
  }
}

TEST_CASE("a timeout that is not a number is an error") {
  const Seconds nan(std::numeric_limits<double>::quiet_NaN());
  const Future<int> future;
  CHECK_THROWS_AS(future.result(nan), std::invalid_argument);
  CHECK_THROWS_AS(future.exception(nan), std::invalid_argument);
  CHECK_THROWS_AS(as_completed(std::vector{future}, nan), std::invalid_argument);
  CHECK_THROWS_WITH(future.result(nan), "a timeout must be a number, not NaN");
}

TEST_CASE("a timeout may be any duration, a fraction of a second too") {
  const Future<int> future;
  for (const Timeout timeout :
       {Timeout(5ms), Timeout(Seconds(0.005)), Timeout(5'000us), Timeout(5'000'000ns),
        Timeout(std::chrono::duration<float, std::milli>(5.0F)),
        Timeout(std::chrono::duration<int, std::ratio<1, 200>>(1))}) {
    const auto begin = Clock::now();
    CHECK_THROWS_AS(future.result(timeout), TimeoutError);
    const auto waited = Clock::now() - begin;
    CHECK(waited >= 4999us);
    CHECK(waited < 5s);
  }
}

TEST_CASE("signals do not wake a result before its time") {
  const Signals signals;
  const Future<int> future;
  const auto begin = Clock::now();
  CHECK_THROWS_AS(future.result(30ms), TimeoutError);
  CHECK(Clock::now() - begin >= 30ms);
}

TEST_CASE("signals do not wake wait and as_completed before their time") {
  const Signals signals;
  const std::vector<Future<int>> futures(2);
  const auto begin = Clock::now();
  CHECK(wait(futures, {.timeout = 20ms}).not_done.size() == 2);
  CHECK(wait(futures, {.timeout = 20ms, .return_when = FIRST_COMPLETED}).not_done.size() == 2);
  CHECK_THROWS_AS(as_completed(futures, 60ms).begin(), TimeoutError);
  CHECK(Clock::now() - begin >= 100ms);
}

TEST_CASE("signals do not disturb a result that comes in the end") {
  const Signals signals;
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  const auto task = pool.submit([at_gate = gate.waiter()] {
    at_gate();
    return 1;
  });
  std::jthread opener([&gate] {
    Signals::await(10);
    gate.open();
  });
  CHECK(task.result() == 1);
}

TEST_CASE("signals do not disturb shutdown, wait_idle, map and a blocked submit") {
  const Signals signals;
  ThreadPoolExecutor pool({.max_workers = 1, .max_pending = 1});
  const auto slow = [](int value) {
    Signals::await(3);
    return value;
  };
  CHECK(pool.map(slow, std::vector{1, 2, 3, 4, 5}).to_vector() ==
        std::vector<int>{1, 2, 3, 4, 5});  // its submits block
  for (int i = 0; i < 5; ++i) pool.post(slow, i);
  CHECK(pool.wait_idle());
  std::atomic<int> ran{0};
  for (int i = 0; i < 5; ++i) {
    pool.post([&ran, &slow, i] {
      slow(i);
      ++ran;
    });
  }
  pool.shutdown();
  CHECK(ran == 5);
}
