// SPDX-License-Identifier: MIT

// Pools whose threads cannot be started.

#include <pthread.h>

#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <latch>
#include <memory>
#include <system_error>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/threads.hpp"

#if defined(__GLIBC__)

using namespace concurrent::futures;

namespace {

/// While it lives, no thread can be started: the default stack is larger than the address space.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_getattr_default_np(&huge);
    pthread_attr_setstacksize(&huge, std::size_t{1} << 47U);
    pthread_setattr_default_np(&huge);
    pthread_attr_destroy(&huge);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_{};
};

}  // namespace

TEST_CASE("this test can keep threads from starting") {
  const NoThreads none;
  CHECK_THROWS_AS(std::thread([] {}), std::system_error);
}

TEST_CASE("submit throws when not even one thread can be started, and accepts nothing") {
  ThreadPoolExecutor pool(2);
  bool ran = false;
  auto token = std::make_shared<int>(1);
  {
    const NoThreads none;
    CHECK_THROWS_AS(pool.submit([&ran, token] { ran = true; }), std::system_error);
    CHECK_THROWS_AS(pool.post([&ran, token] { ran = true; }), std::system_error);
    CHECK_THROWS_AS(pool.submit(TaskOptions{.priority = 1}, [&ran, token] { ran = true; }),
                    std::system_error);
    CHECK_THROWS_AS(
        pool.submit(TaskOptions{.delay = std::chrono::hours(1)}, [&ran, token] { ran = true; }),
        std::system_error);
    CHECK(token.use_count() == 1);
  }
  pool.shutdown();
  CHECK_FALSE(ran);
}

TEST_CASE("a pool recovers when threads can be started again") {
  ThreadPoolExecutor pool(2);
  {
    const NoThreads none;
    CHECK_THROWS_AS(pool.submit([] {}), std::system_error);
  }
  CHECK(pool.submit([] { return 1; }).result() == 1);
  CHECK(pool.wait_idle());
}

TEST_CASE("a pool that could start no thread is idle and can be shut down") {
  ThreadPoolExecutor pool(2);
  {
    const NoThreads none;
    CHECK_THROWS_AS(pool.submit([] {}), std::system_error);
    CHECK_THROWS_AS(pool.submit(TaskOptions{.priority = 1}, [] {}), std::system_error);
  }
  CHECK(pool.wait_idle());
  pool.shutdown();
}

TEST_CASE("a pool with some threads goes on with these when no more can be started") {
  ThreadPoolExecutor pool({.max_workers = 4, .thread_name_prefix = "halfway"});
  CHECK(pool.submit([] { return 1; }).result() == 1);
  std::vector<Future<int>> tasks;
  {
    const NoThreads none;
    const support::Occupied occupied(pool);
    for (int i = 0; i < 100; ++i) tasks.push_back(pool.submit([i] { return i; }));
    CHECK(support::thread_names("halfway").size() == 1);
  }
  for (int i = 0; i < 100; ++i) CHECK(tasks[static_cast<std::size_t>(i)].result() == i);
}

TEST_CASE("a dependent task fails when it can be queued and no thread can be started") {
  ThreadPoolExecutor pool(1);
  Future<int> argument;
  auto token = std::make_shared<int>(1);
  const auto task = pool.submit([token](int value) { return value; }, argument);
  {
    const NoThreads none;
    argument.set_result(1);
    REQUIRE(wait(std::vector{task}, {.timeout = std::chrono::seconds(20)}).done.size() == 1);
  }
  CHECK_THROWS_AS(task.result(), std::system_error);
  CHECK(token.use_count() == 1);
  CHECK(pool.submit([] { return 1; }).result() == 1);
}

TEST_CASE("a pool destroyed while no thread can be started still resolves its futures") {
  Future<int> argument;
  Future<int> task;
  const NoThreads none;
  {
    ThreadPoolExecutor pool(1);
    task = pool.submit([](int value) { return value; }, argument);
    argument.set_result(1);
  }
  REQUIRE(task.done());
  CHECK_THROWS_AS(task.result(), std::system_error);
}

#endif
