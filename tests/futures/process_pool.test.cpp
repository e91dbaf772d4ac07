// SPDX-License-Identifier: MIT

// What ProcessPoolExecutor does when nothing goes wrong, as far as it differs from other executors.

#include <algorithm>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace process_test;
using namespace std::chrono_literals;
using concurrent::futures::ShutdownError;
using concurrent::futures::TaskOptions;

namespace {

struct Point {
  double x, y;
  double sum() const { return x + y; }
};

struct Scale {  // a function object with state, as an aggregate
  int factor;
  int operator()(int x) const { return x * factor; }
};

class Prefix {  // a function object with state that says how it is serialised
 public:
  Prefix() = default;
  explicit Prefix(std::string text) : text_(std::move(text)) {}
  std::string operator()(const std::string& word) const { return text_ + word; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }

 private:
  std::string text_;
};

int made_before_the_pool = 1;

static_assert(concurrent::futures::Executor<ProcessPoolExecutor>);

}  // namespace

TEST_CASE("a task runs in another process") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  CHECK(worker != ::getpid());
  CHECK(executor.submit(pid_of_worker).result() == worker);
}

TEST_CASE("function pointers, lambdas, member functions and function objects can be submitted") {
  ProcessPoolExecutor executor({.max_workers = 1});
  CHECK(executor.submit(square, 7).result() == 49);
  CHECK(executor.submit([](int a, int b) { return a - b; }, 9, 4).result() == 5);
  CHECK(executor.submit(&Point::sum, Point{1.5, 2}).result() == 3.5);
  CHECK(executor.submit(&Point::y, Point{1.5, 2}).result() == 2);
  CHECK(executor.submit(Scale{3}, 5).result() == 15);
  CHECK(executor.submit(Prefix("pre"), std::string("fix")).result() == "prefix");
  CHECK(executor.submit(std::plus<>(), 2, 3).result() == 5);
}

TEST_CASE("move-only arguments and results cross") {
  ProcessPoolExecutor executor({.max_workers = 1});
  auto doubled =
      executor.submit([](std::unique_ptr<int> value) { return std::make_unique<int>(*value * 2); },
                      std::make_unique<int>(21));
  CHECK(*std::move(doubled).result() == 42);
}

TEST_CASE("workers see what the parent had when the pool was made, and nothing later") {
  made_before_the_pool = 2;
  ProcessPoolExecutor executor({.max_workers = 1});
  made_before_the_pool = 3;
  CHECK(executor.submit([] { return made_before_the_pool; }).result() == 2);
}

TEST_CASE("a worker that is started late sees what the first one saw") {
  made_before_the_pool = 5;
  ProcessPoolExecutor executor({.max_workers = 1, .max_tasks_per_child = 1});
  static_cast<void>(executor.submit(pid_of_worker).result());
  made_before_the_pool = 6;
  CHECK(executor.submit([] { return made_before_the_pool; }).result() == 5);
}

TEST_CASE("a standard exception comes home with its type, its message and the worker's pid") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  const auto failed = executor.submit([] { throw std::out_of_range("no such row"); });
  try {
    failed.result();
    FAIL("it must throw");
  } catch (const std::exception& error) {
    CHECK(typeid(error) == typeid(std::out_of_range));
    CHECK(error.what() == std::string("no such row"));
    REQUIRE(concurrent::multiprocessing::remote_origin(error));
    CHECK(concurrent::multiprocessing::remote_origin(error)->pid == worker);
  }
  CHECK(executor.submit(square, 2).result() == 4);
}

TEST_CASE("an exception that is no class ends in a RemoteError, and the worker lives") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  const auto failed = executor.submit([]() -> int { throw 42; });
  CHECK(failure_of(failed) == "int (in worker process " + std::to_string(worker) + ")");
  CHECK(executor.submit(pid_of_worker).result() == worker);
}

TEST_CASE("map keeps order, and an error in a chunk costs its own element only") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const std::vector<int> numbers{1, 2, 0, 4, 5, 6, 7};
  auto quotients = executor.map(
      {.chunksize = 3},
      [](int x) { return x != 0 ? 420 / x : throw std::domain_error("division by zero"); },
      numbers);
  std::vector<int> results;
  int errors = 0;
  for (auto at = quotients.begin(); at != quotients.end(); ++at) {
    try {
      results.push_back(*at);
    } catch (const std::domain_error&) {
      ++errors;
    }
  }
  CHECK(results == std::vector<int>{420, 210, 105, 84, 70, 60});
  CHECK(errors == 1);
}

TEST_CASE("map takes a function object with state and several ranges") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const std::vector<int> numbers{1, 2, 3};
  CHECK(executor.map(Scale{10}, numbers).to_vector() == std::vector<int>{10, 20, 30});
  const std::vector<std::string> words{"a", "b"};
  const auto repeat = [](int n, const std::string& word) {
    std::string text;
    for (int i = 0; i < n; ++i) text += word;
    return text;
  };
  CHECK(executor.map({.chunksize = 2}, repeat, numbers, words).to_vector() ==
        std::vector<std::string>{"a", "bb"});
}

TEST_CASE("no more workers than max_workers are started, and only when they are needed") {
  ProcessPoolExecutor executor({.max_workers = 2});
  std::set<pid_t> workers;
  for (int i = 0; i < 10; ++i) workers.insert(executor.submit(pid_of_worker).result());
  CHECK(workers.size() == 1);
  std::vector<Future<pid_t>> many;
  for (int i = 0; i < 200; ++i) many.push_back(executor.submit(pid_of_worker));
  for (const auto& future : many) workers.insert(future.result());
  CHECK(workers.size() <= 2);
}

TEST_CASE("a long task holds no short one behind it, and what is queued can be cancelled") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  const auto blocked = executor.submit([] { sleep_until_flag(0); });
  std::vector<Future<int>> shorts;
  for (int i = 0; i < 50; ++i) shorts.push_back(executor.submit(square, i));
  for (const auto& future : shorts) static_cast<void>(future.result(60s));

  const auto second = executor.submit([] { sleep_until_flag(0); });
  REQUIRE(within(30s, [&] { return blocked.running() && second.running(); }));
  auto queued = executor.submit(square, 3);
  CHECK(queued.cancel());
  CHECK_FALSE(Future<void>(blocked).cancel());
  board()->flag[0] = 1;
  blocked.result();
  second.result();
  CHECK(queued.cancelled());
}

TEST_CASE("higher priorities start first, and a delayed task starts when it is due") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto blocked = executor.submit([] { sleep_until_flag(0); });
  REQUIRE(within(30s, [&] { return blocked.running(); }));
  const auto take_number = [] { return board()->flag[1].fetch_add(1); };
  const auto late = executor.submit(TaskOptions{.delay = 50ms}, take_number);
  const auto normal = executor.submit(take_number);
  const auto urgent = executor.submit(TaskOptions{.priority = 1}, take_number);
  const auto begin = Clock::now();
  board()->flag[0] = 1;
  CHECK(urgent.result() == 0);
  CHECK(normal.result() == 1);
  CHECK(late.result() == 2);
  CHECK(Clock::now() - begin < 30s);
}

TEST_CASE("a future as an argument is waited for by no worker, and its failure passes on") {
  ProcessPoolExecutor executor({.max_workers = 1});
  Future<int> later;
  const auto squared = executor.submit(square, later);
  CHECK(executor.submit(square, 2).result() == 4);  // the only worker is free
  later.set_result(5);
  CHECK(squared.result() == 25);

  Future<int> failing;
  const auto failed = executor.submit(square, failing);
  failing.set_exception(std::make_exception_ptr(std::range_error("out of it")));
  CHECK(fails_with<std::range_error>(failed));

  Future<int> cancelled;
  const auto dropped = executor.submit(square, cancelled);
  cancelled.cancel();
  CHECK(dropped.cancelled());
}

TEST_CASE("shutdown waits for a task that waits for its arguments, or cancels it") {
  ProcessPoolExecutor executor({.max_workers = 1});
  Future<int> later;
  const auto squared = executor.submit(square, later);
  std::thread completes([&] { later.set_result(6); });
  executor.shutdown();
  CHECK(squared.result() == 36);
  completes.join();

  ProcessPoolExecutor other({.max_workers = 1});
  const auto never = other.submit(square, Future<int>(later = Future<int>()));
  other.shutdown(true, true);
  CHECK(never.cancelled());
}

TEST_CASE("the initializer runs once in each worker, before its tasks") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2, .initializer = [] { ++board()->flag[0]; }});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 20; ++i) {
    futures.push_back(executor.submit([] { return board()->flag[0].load(); }));
  }
  for (const auto& future : futures) CHECK(future.result() >= 1);
  CHECK(board()->flag[0] <= 2);
}

TEST_CASE("an initializer that has begun runs to its end, even if the pool ends meanwhile") {
  const SharedBoard shared;
  {
    ProcessPoolExecutor executor({.max_workers = 1, .initializer = [] {
                                    board()->flag[0] = 1;
                                    std::this_thread::sleep_for(50ms);  // the pool ends here
                                    board()->flag[1] = 1;
                                  }});
    auto task = executor.submit(square, 2);
    CHECK(within(10s, [] { return board()->flag[0] == 1; }));
    CHECK(task.cancel());
  }
  CHECK(board()->flag[1] == 1);
}

TEST_CASE("a pool may end while its workers begin, and waits for none of them to be ready") {
  const SharedBoard shared;
  for (int i = 0; i < 50; ++i) {
    ProcessPoolExecutor executor({.max_workers = 3});
    std::vector<Future<int>> tasks;
    for (int task = 0; task < 3; ++task) {
      tasks.push_back(executor.submit([] { return ++board()->flag[0]; }));
    }
    if (i % 2 == 0) {
      executor.shutdown(true, true);
    } else {
      CHECK(tasks.front().result() > 0);
      executor.shutdown();
    }
    CHECK(children().empty());
    const auto run = std::count_if(tasks.begin(), tasks.end(),
                                   [](const auto& task) { return !task.cancelled(); });
    CHECK(board()->flag[0].exchange(0) == run);
  }
}

TEST_CASE("an initializer that throws breaks the pool and says what it threw") {
  ProcessPoolExecutor executor(
      {.max_workers = 1, .initializer = [] { throw std::runtime_error("no database"); }});
  const auto first = executor.submit(square, 2);
  CHECK_THAT(failure_of(first),
             support::matchers::contains("initializer failed in worker process"));
  CHECK_THAT(failure_of(first), support::matchers::contains("std::runtime_error: no database"));
  CHECK_THROWS_AS(executor.submit(square, 3), BrokenProcessPool);
}

TEST_CASE("a worker ends after max_tasks_per_child tasks, and a backlog is completed") {
  ProcessPoolExecutor executor({.max_workers = 2, .max_tasks_per_child = 3});
  std::vector<Future<pid_t>> futures;
  for (int i = 0; i < 40; ++i) futures.push_back(executor.submit(pid_of_worker));
  std::map<pid_t, int> tasks_of;
  for (const auto& future : futures) ++tasks_of[future.result()];
  CHECK(tasks_of.size() >= 14);
  for (const auto& [pid, tasks] : tasks_of) {
    CHECK(tasks <= 3);
    if (tasks == 3) CHECK(within(10s, [worker = pid] { return gone(worker); }));
  }
}

TEST_CASE("shutdown in the middle of a backlog with max_tasks_per_child completes it") {
  std::vector<Future<int>> futures;
  {
    ProcessPoolExecutor executor({.max_workers = 2, .max_tasks_per_child = 1});
    for (int i = 0; i < 20; ++i) futures.push_back(executor.submit(square, i));
  }
  for (int i = 0; i < 20; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * i);
}

TEST_CASE("bad options are refused with Python's words") {
  CHECK_THROWS_WITH(ProcessPoolExecutor({.max_workers = 0}), "max_workers must be greater than 0");
  CHECK_THROWS_WITH(ProcessPoolExecutor({.max_tasks_per_child = 0}),
                    "max_tasks_per_child must be >= 1");
}

TEST_CASE("submit after shutdown throws, and shutting down again does nothing") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto before = executor.submit(square, 3);
  executor.shutdown();
  executor.shutdown();
  CHECK(before.result() == 9);
  CHECK_THROWS_AS(executor.submit(square, 3), ShutdownError);
  CHECK_THROWS_WITH(executor.submit(square, 3), "cannot schedule new futures after shutdown");
}

TEST_CASE("a done-callback may submit, and is refused to wait for the shutdown") {
  auto executor = std::make_unique<ProcessPoolExecutor>(1);
  Future<int> second;
  Future<int> errors;
  executor->submit(square, 2).add_done_callback([&](const Future<int>& first) {
    executor->submit(square, first.result()).add_done_callback([&](const Future<int>& next) {
      try {
        executor->shutdown();
        errors.set_result(0);
      } catch (const std::system_error& error) {
        errors.set_result(error.code() == std::errc::resource_deadlock_would_occur ? 1 : 2);
      }
      second.set_result(next.result());
    });
  });
  CHECK(second.result(60s) == 16);
  CHECK(errors.result() == 1);
}

TEST_CASE("a done-callback may destroy the pool, and what is queued is completed") {
  const SharedBoard shared;
  auto* executor = new ProcessPoolExecutor(1);
  std::vector<Future<int>> futures;
  Future<void> destroyed;
  const auto first = executor->submit([] { sleep_until_flag(0); });
  first.add_done_callback([&](const Future<void>&) {
    delete executor;
    destroyed.set_result();
  });
  for (int i = 0; i < 10; ++i) futures.push_back(executor->submit(square, i));
  board()->flag[0] = 1;
  destroyed.result(60s);
  for (int i = 0; i < 10; ++i) CHECK(futures[static_cast<std::size_t>(i)].result(60s) == i * i);
  CHECK(within(10s, [] { return children().empty(); }));
}

TEST_CASE("a callback of what shutdown cancels may destroy the pool, and not wait for it") {
  const bool kills = GENERATE(false, true);
  CAPTURE(kills);
  auto pool = std::make_unique<ProcessPoolExecutor>(1);
  const auto running = pool->submit([] { ::usleep(20'000); });
  auto queued = pool->submit(TaskOptions{.delay = std::chrono::hours(1)}, square, 2);
  int refusals = 0;
  const auto refused = [&](const auto& wait) {
    try {
      wait();
    } catch (const std::system_error& error) {
      if (error.code() == std::errc::resource_deadlock_would_occur) ++refusals;
    }
  };
  queued.add_done_callback([&](const Future<int>&) {
    refused([&] { pool->shutdown(true); });
    refused([&] { pool->wait_idle(); });
    pool.reset();
  });
  ProcessPoolExecutor& alive = *pool;
  kills ? alive.kill_workers() : alive.shutdown(false, true);
  CHECK(queued.cancelled());
  CHECK(refusals == 2);
  CHECK(pool == nullptr);
  CHECK(within(60s, [&] { return running.done(); }));
}

TEST_CASE("every thread may wait for the end of a pool, and again when that is over") {
  ProcessPoolExecutor executor(1);
  executor.submit(square, 2).result();
  executor.shutdown();
  for (int i = 0; i < 4; ++i) {  // one of them has the number of the pool's thread
    bool refused = false;
    std::thread([&] {
      try {
        executor.shutdown();
        executor.wait_idle();
      } catch (const std::system_error&) {
        refused = true;
      }
    }).join();
    CHECK_FALSE(refused);
  }
}

TEST_CASE("wait_idle waits for everything that was submitted") {
  ProcessPoolExecutor executor({.max_workers = 2});
  CHECK(executor.wait_idle());
  std::vector<Future<int>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(square, i));
  CHECK(executor.wait_idle(60s));
  for (const auto& future : futures) CHECK(future.done());
}

TEST_CASE("what a posted task throws goes to the unraisable hook") {
  Future<std::string> reported;
  concurrent::futures::set_unraisable_hook(
      [reported](const std::exception_ptr& error, std::string_view) mutable {
        try {
          std::rethrow_exception(error);
        } catch (const std::exception& exception) {
          reported.set_result(exception.what());
        }
      });
  {
    ProcessPoolExecutor executor({.max_workers = 1});
    executor.post([] { throw std::runtime_error("nobody looks"); });
  }
  concurrent::futures::set_unraisable_hook({});
  CHECK(reported.result(60s) == "nobody looks");
}

TEST_CASE("a task can make a pool of its own") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto sum = executor.submit([] {
    ProcessPoolExecutor inner({.max_workers = 2});
    return inner.submit(square, 5).result() + inner.submit(square, 6).result();
  });
  CHECK(sum.result() == 61);
}

TEST_CASE("a pool that a worker inherited refuses to work there") {
  static ProcessPoolExecutor* inherited = nullptr;
  ProcessPoolExecutor first({.max_workers = 1});
  inherited = &first;
  ProcessPoolExecutor second({.max_workers = 1});
  const auto refused = second.submit([] { return inherited->submit(square, 2).result(); });
  CHECK(fails_with<std::logic_error>(refused));
  CHECK(first.submit(square, 2).result() == 4);
}

TEST_CASE("processes: a pool whose last task was cancelled ends") {
  const bool worker_is_there = GENERATE(false, true);
  CAPTURE(worker_is_there);
  for (int round = 0; round < 20; ++round) {
    ProcessPoolExecutor executor({.max_workers = 1});
    if (worker_is_there) static_cast<void>(executor.submit(square, 1).result());
    std::vector<Future<int>> futures;
    for (int i = 0; i < 3; ++i) futures.push_back(executor.submit(square, i));
    for (auto& future : futures) future.cancel();
  }
}

TEST_CASE("processes: a cancelled task that waits for its time keeps no pool") {
  const auto begin = std::chrono::steady_clock::now();
  {
    ProcessPoolExecutor executor({.max_workers = 1});
    const TaskOptions in_an_hour{.delay = std::chrono::hours(1)};
    Future<int> argument;
    argument.set_result(3);
    auto plain = executor.submit(in_an_hour, square, 3);
    auto dependent = executor.submit(in_an_hour, square, argument);
    auto kept_busy = executor.submit(square, 4);
    CHECK(plain.cancel());
    CHECK(dependent.cancel());
    CHECK(kept_busy.result() == 16);
    CHECK(executor.wait_idle(60s));
  }
  CHECK(std::chrono::steady_clock::now() - begin < 60s);
}
