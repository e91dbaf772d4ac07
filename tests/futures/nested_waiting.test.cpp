// SPDX-License-Identifier: MIT

// Workers that wait for futures, those of their own pool above all.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concurrent/detail/sanitizers.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

int depth(ThreadPoolExecutor& pool, int levels) {
  if (levels == 0) return 0;
  return pool.submit(depth, std::ref(pool), levels - 1).result() + 1;
}

int fibonacci(ThreadPoolExecutor& pool, int n) {
  if (n < 2) return n;
  const auto left = pool.submit(fibonacci, std::ref(pool), n - 1);
  return fibonacci(pool, n - 2) + left.result();
}

std::vector<Future<int>> ten_tasks(ThreadPoolExecutor& pool) {
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(pool.submit([i] { return i; }));
  return tasks;
}

/// Counts how many there are of it.
struct Result {
  explicit Result(std::atomic<int>& count) : alive(&count) { ++*alive; }
  Result(const Result& other) : alive(other.alive) { ++*alive; }
  Result& operator=(const Result&) = delete;
  ~Result() { --*alive; }

  std::atomic<int>* alive;
};

using Order = std::vector<std::size_t>;

/// Of this process, in bytes.
std::size_t resident_memory() {
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Tasks that are submitted by a task, and waited for in each of some orders, over and over. Gives
/// how many results there were at most when none was held.
int most_results_kept(std::size_t workers, const std::vector<Order>& orders) {
  ThreadPoolExecutor pool(workers);
  std::atomic<int> alive = 0;
  return pool
      .submit([&] {
        int most = 0;
        for (int round = 0; round < 300; ++round) {
          for (const Order& order : orders) {
            std::vector<Future<Result>> children;
            for (std::size_t i = 0; i < order.size(); ++i) {
              children.push_back(pool.submit([&alive] { return Result(alive); }));
            }
            for (const std::size_t i : order) children[i].result();
          }
          most = std::max(most, alive.load());
        }
        return most;
      })
      .result();
}

}  // namespace

TEST_CASE("a thousand tasks wait for each other on one worker") {
  ThreadPoolExecutor pool(1);
  CHECK(pool.submit(depth, std::ref(pool), 1000).result() == 1000);
}

TEST_CASE("a thousand tasks wait for each other on two workers") {
  ThreadPoolExecutor pool(2);
  CHECK(pool.submit(depth, std::ref(pool), 1000).result() == 1000);
}

TEST_CASE("tasks that fork and join give what they should on any number of workers") {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    ThreadPoolExecutor pool(workers);
    CHECK(pool.submit(fibonacci, std::ref(pool), 15).result() == 610);
  }
}

TEST_CASE("a worker may ask for the exception of a task of its own pool") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    return pool.submit([] { throw std::runtime_error("oops"); }).exception() != nullptr;
  });
  CHECK(task.result());
}

TEST_CASE("a worker may wait for a task that came from outside before it and has not begun") {
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  Future<int> other;
  const auto task = pool.submit([&other, at_gate = gate.waiter()] {
    at_gate();
    return other.result() + 1;
  });
  other = pool.submit([] { return 1; });
  gate.open();
  CHECK(task.result() == 2);
}

TEST_CASE("a worker may call wait for tasks of its own pool by every rule") {
  for (const std::size_t workers : {1U, 2U}) {
    for (const ReturnWhen rule : {ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION}) {
      ThreadPoolExecutor pool(workers);
      const auto task = pool.submit([&pool, rule] {
        const auto [done, not_done] = wait(ten_tasks(pool), {.return_when = rule});
        return std::pair(done.size(), not_done.size());
      });
      const auto [done, not_done] = task.result();
      CHECK(done + not_done == 10);
      CHECK(done >= (rule == FIRST_COMPLETED ? 1U : 10U));
    }
  }
}

TEST_CASE("a worker may run through as_completed over tasks of its own pool") {
  for (const std::size_t workers : {1U, 2U}) {
    ThreadPoolExecutor pool(workers);
    const auto task = pool.submit([&pool] {
      int sum = 0;
      for (const Future<int>& future : as_completed(ten_tasks(pool))) sum += future.result();
      return sum;
    });
    CHECK(task.result() == 45);
  }
}

TEST_CASE("a worker may map over its own pool, at two levels") {
  for (const std::size_t workers : {1U, 2U}) {
    ThreadPoolExecutor pool(workers);
    const auto row = [&pool](int factor) {
      int sum = 0;
      for (const int& value :
           pool.map([factor](int i) { return factor * i; }, std::vector{1, 2, 3})) {
        sum += value;
      }
      return sum;
    };
    const auto task = pool.submit([&pool, &row] {
      int sum = 0;
      for (const int& value : pool.map(row, std::vector{1, 10, 100})) sum += value;
      return sum;
    });
    CHECK(task.result() == 666);
  }
}

TEST_CASE("a worker may map with a buffer over its own pool") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    return pool
        .map(
            MapOptions{.buffersize = 2}, [](int i) { return i; }, std::vector{1, 2, 3, 4})
        .to_vector();
  });
  CHECK(task.result() == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a worker that waits never runs an unrelated task") {
  ThreadPoolExecutor pool(1);
  std::mutex mutex;  // what an unrelated task would need while the waiting one holds it
  bool disturbed = false;
  bool waiting = false;
  Future<int> outside;
  Future<void> begun;
  const auto task = pool.submit([&, outside, begun]() mutable {
    const std::scoped_lock lock(mutex);
    for (int i = 0; i < 10; ++i) {
      pool.post([&] { disturbed = disturbed || waiting; });
    }
    begun.set_result();
    waiting = true;
    const int value = pool.submit([] { return 1; }).result() + outside.result();
    waiting = false;
    return value;
  });
  begun.result();
  pool.post([&] { disturbed = disturbed || waiting; });
  outside.set_result(1);
  CHECK(task.result() == 2);
  pool.shutdown();
  CHECK_FALSE(disturbed);
}

TEST_CASE("the only worker may wait for a future that is completed from outside") {
  ThreadPoolExecutor pool(1);
  Future<int> outside;
  Future<void> begun;
  SECTION("by result") {
    const auto task = pool.submit([outside, begun]() mutable {
      begun.set_result();
      return outside.result();
    });
    begun.result();
    outside.set_result(5);
    CHECK(task.result() == 5);
  }
  SECTION("by wait") {
    const auto task = pool.submit([outside, begun]() mutable {
      begun.set_result();
      return wait(std::vector{outside}).done.size();
    });
    begun.result();
    outside.set_result(5);
    CHECK(task.result() == 1);
  }
  SECTION("by as_completed") {
    const auto task = pool.submit([outside, begun]() mutable {
      begun.set_result();
      return (*as_completed(std::vector{outside}).begin()).result();
    });
    begun.result();
    outside.set_result(5);
    CHECK(task.result() == 5);
  }
  SECTION("and for one that is cancelled from outside") {
    const auto task = pool.submit([outside, begun]() mutable {
      begun.set_result();
      return outside.exception() != nullptr;
    });
    begun.result();
    outside.cancel();
    CHECK_THROWS_AS(task.result(), CancelledError);
  }
}

TEST_CASE("the only worker may wait for continuations of what is completed from outside") {
  ThreadPoolExecutor pool(1);
  Future<int> outside;
  Future<void> begun;
  const auto task = pool.submit([&pool, outside, begun]() mutable {
    auto last = outside.then([](int value) { return value + 1; });
    last = pool.submit([](int value) { return value * 10; }, last);
    last = last.then([](int value) { return value + 1; });
    last = pool.submit([](int value) { return value * 10; }, last);
    begun.set_result();
    return last.result();
  });
  begun.result();
  outside.set_result(1);
  CHECK(task.result() == 210);
}

TEST_CASE("the only worker may wait for several futures of which one needs another") {
  // The second is completed by a callback of the first, which only this worker can run, once the
  // main thread has completed what it depends on.
  for (const ReturnWhen rule : {ALL_COMPLETED, FIRST_EXCEPTION}) {
    ThreadPoolExecutor pool(1);
    Future<int> outside;
    Future<void> begun;
    const auto task = pool.submit([&pool, outside, begun, rule]() mutable {
      Future<int> second;
      const auto first = pool.submit([](int value) { return value + 1; }, outside);
      first.add_done_callback(
          [second](const Future<int>& done) mutable { second.set_result(done.result() + 1); });
      begun.set_result();
      const auto [done, not_done] = wait(std::vector{first, second}, {.return_when = rule});
      return done.size();
    });
    begun.result();
    outside.set_result(1);
    CHECK(task.result() == 2);
  }
}

TEST_CASE("the only worker runs every task that a task with several futures needs") {
  ThreadPoolExecutor pool(1);
  const Future<int> sum = pool.submit([&pool] {
    Future<int> outside;
    auto needed = pool.submit([outside]() mutable {
      outside.set_result(40);
      return 2;
    });
    return pool.submit([](int a, int b) { return a + b; }, outside, needed).result();
  });
  CHECK(sum.result() == 42);
}

TEST_CASE("the only worker may run through as_completed of futures of which one needs another") {
  ThreadPoolExecutor pool(1);
  Future<int> outside;
  Future<void> begun;
  const auto task = pool.submit([&pool, outside, begun]() mutable {
    Future<int> second;
    const auto first = pool.submit([](int value) { return value + 1; }, outside);
    first.add_done_callback(
        [second](const Future<int>& done) mutable { second.set_result(done.result() + 1); });
    begun.set_result();
    std::vector<int> values;
    for (const auto& future : as_completed(std::vector{second, first})) {
      values.push_back(future.result());
    }
    return values;
  });
  begun.result();
  outside.set_result(1);
  auto values = task.result();
  std::sort(values.begin(), values.end());
  CHECK(values == std::vector<int>{2, 3});
}

TEST_CASE("a worker that waits with a timeout gets TimeoutError and the task goes on") {
  ThreadPoolExecutor pool(1);
  const Future<int> never;
  const auto task = pool.submit([never] { return never.result(1ms); });
  CHECK_THROWS_AS(task.result(), TimeoutError);
  const auto waiting =
      pool.submit([never] { return wait(std::vector{never}, {.timeout = 1ms}).not_done.size(); });
  CHECK(waiting.result() == 1);
  const auto yielding = pool.submit([never] { as_completed(std::vector{never}, 1ms).begin(); });
  CHECK_THROWS_WITH(yielding.result(), "1 (of 1) futures unfinished");
}

TEST_CASE("a worker waits with a timeout for a delayed task without running it early") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    auto delayed = pool.submit(TaskOptions{.delay = 1h}, [] { return 1; });
    bool in_time = true;
    try {
      static_cast<void>(delayed.result(1ms));
    } catch (const TimeoutError&) {
      in_time = false;
    }
    delayed.cancel();
    return in_time;
  });
  CHECK_FALSE(task.result());
}

TEST_CASE("the only worker waits for several delayed tasks") {
  ThreadPoolExecutor pool(1);
  const auto begin = std::chrono::steady_clock::now();
  const auto delayed = [&pool](std::chrono::milliseconds delay) {
    return pool.submit(TaskOptions{.delay = delay}, [] { return 1; });
  };
  const auto task = pool.submit([&delayed] {
    const auto all = std::vector{delayed(20ms), delayed(5ms), delayed(10ms)};
    std::size_t done = wait(all).done.size();
    const auto more = std::vector{delayed(5ms), delayed(1ms)};
    for (const auto& one : as_completed(more)) done += static_cast<std::size_t>(one.result());
    return done;
  });
  CHECK(task.result() == 5);
  CHECK(std::chrono::steady_clock::now() - begin >= 25ms);
}

TEST_CASE("a worker of one pool may wait for tasks of another, and those for the first") {
  ThreadPoolExecutor first(1);
  ThreadPoolExecutor second(1);
  const auto task = first.submit([&] {
    const auto inner = second.submit([&] {
      return first.submit([] { return 1; });  // handed out, not waited for
    });
    return inner.result().result() + 1;
  });
  CHECK(task.result() == 2);
}

TEST_CASE("two workers that wait for the same task both get its result") {
  ThreadPoolExecutor pool(2);
  support::Gate gate;
  Future<int> shared;
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 2; ++i) {
    tasks.push_back(pool.submit([&shared, at_gate = gate.waiter()] {
      at_gate();
      return shared.result();
    }));
  }
  shared = pool.submit([] { return 7; });
  gate.open();
  for (const auto& task : tasks) CHECK(task.result() == 7);
}

TEST_CASE("a task that a waiting worker runs in place runs in that worker's thread") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    return pool.submit([] { return std::this_thread::get_id(); }).result() ==
           std::this_thread::get_id();
  });
  CHECK(task.result());
}

TEST_CASE("what a waiting worker has run is not kept, in whatever order it waited") {
  const std::vector<std::vector<Order>> ways{{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                             {{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
                                             {{5, 0, 9, 3, 1, 7, 2, 8, 6, 4}},
                                             {{0, 1, 2}, {2, 0, 1}, {1, 0}, {0}}};
  for (const std::size_t workers : {1U, 2U}) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      INFO(workers << " workers, way " << way);
      // Beside another worker, which may be about to let go of what it has run.
      CHECK(most_results_kept(workers, ways[way]) <= (workers == 1 ? 0 : 100));
    }
  }
}

TEST_CASE("a task that waits for many others in turn does not pile them up") {
  if (concurrent::detail::under_sanitizer) return;  // which keeps memory of its own
  for (const std::size_t workers : {1U, 2U}) {
    ThreadPoolExecutor pool(workers);
    const auto growth = pool.submit([&pool] {
      std::size_t before = 0;
      for (int round = 0; round < 100'000; ++round) {
        if (round == 1000) before = resident_memory();
        for (const Future<int>& task : ten_tasks(pool)) static_cast<void>(task.result());
      }
      const std::size_t after = resident_memory();
      return after > before ? after - before : 0;
    });
    CHECK(growth.result() < 16U << 20U);  // 64 bytes each would be 64 MB
  }
}

TEST_CASE("what a waiting worker has run is not kept under a task that nobody waits for") {
  ThreadPoolExecutor pool(1);
  std::atomic<int> alive = 0;
  const auto most = pool.submit([&] {
    int kept = 0;
    std::vector<Future<void>> left;
    for (int round = 0; round < 300; ++round) {
      {
        const auto first = pool.submit([&alive] { return Result(alive); });
        const auto second = pool.submit([&alive] { return Result(alive); });
        left.push_back(pool.submit([] {}));
        first.result();
        second.result();
      }
      kept = std::max(kept, alive.load());
    }
    return kept;
  });
  CHECK(most.result() == 0);
}

TEST_CASE("a result that is dropped in a waiting worker may submit and wait in its destructor") {
  ThreadPoolExecutor pool(1);
  std::atomic<int> ran = 0;
  struct Submits {
    Submits(ThreadPoolExecutor& where, std::atomic<int>& count) : pool(&where), ran(&count) {}
    Submits(Submits&& other) noexcept : pool(std::exchange(other.pool, nullptr)), ran(other.ran) {}
    Submits& operator=(Submits&&) = delete;
    ~Submits() {
      if (pool == nullptr) return;
      auto first = pool->submit([this] { ++*ran; });
      auto second = pool->submit([this] { ++*ran; });
      first.result();
      second.result();
    }
    ThreadPoolExecutor* pool;
    std::atomic<int>* ran;
  };
  pool.submit([&] {
        for (int round = 0; round < 20; ++round) {
          std::vector<Future<Submits>> children;
          for (int i = 0; i < 10; ++i) {
            children.push_back(pool.submit([&] { return Submits(pool, ran); }));
          }
          for (auto& child : children) static_cast<void>(child.exception());
        }
      })
      .result();
  CHECK(pool.wait_idle());  // what the worker has kept is gone, too
  CHECK(ran == 20 * 10 * 2);
}

TEST_CASE("an exception of a task that was run in place reaches who waits for it") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit(
      [&pool] { return pool.submit([]() -> int { throw std::runtime_error("inner"); }).result(); });
  CHECK_THROWS_WITH(task.result(), "inner");
}

TEST_CASE("a task with a stop token can be run in place") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] {
    auto inner = pool.submit([](const std::stop_token& token) { return token.stop_requested(); });
    inner.request_stop();
    return inner.result();
  });
  CHECK(task.result());
}
