// SPDX-License-Identifier: MIT

// ThreadPoolExecutor: submit, post, threads, order. Its end is tested in thread_pool_shutdown.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <cstddef>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/threads.hpp"
#include "support/unraisable.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

struct Adder {
  int base = 0;
  [[nodiscard]] int add(int value) const { return base + value; }
  int operator()(int value) { return base += value; }
};

/// Throws when it is copied for the `limit`th time.
struct ThrowingCopy {
  explicit ThrowingCopy(int& left) : left_(&left) {}
  ThrowingCopy(const ThrowingCopy& other) : left_(other.left_) {
    if ((*left_)-- == 0) throw std::runtime_error("no copy");
  }
  ThrowingCopy& operator=(const ThrowingCopy&) = delete;
  ~ThrowingCopy() = default;
  int operator()() const { return 1; }

 private:
  int* left_;
};

struct ThrowingMove {
  ThrowingMove() = default;
  ThrowingMove(ThrowingMove&&) { throw std::runtime_error("no move"); }  // NOLINT
  ThrowingMove& operator=(ThrowingMove&&) = delete;
  ~ThrowingMove() = default;
};

struct ThrowingDestructor {
  ThrowingDestructor() = default;
  ThrowingDestructor(const ThrowingDestructor& other) : armed(other.armed) {}
  ThrowingDestructor(ThrowingDestructor&& other) noexcept
      : armed(std::exchange(other.armed, false)) {}
  ThrowingDestructor& operator=(const ThrowingDestructor&) = delete;
  ~ThrowingDestructor() noexcept(false) {
    if (armed) throw std::runtime_error("bang");
  }
  int operator()() const { return 1; }
  bool armed = false;
};

}  // namespace

// Callables and arguments

TEST_CASE("submit runs a callable with its arguments in another thread") {
  ThreadPoolExecutor pool(1);
  const auto here = std::this_thread::get_id();
  const auto task = [here](int a, const std::string& b) {
    return std::pair(std::to_string(a) + b, std::this_thread::get_id() != here);
  };
  CHECK(pool.submit(task, 1, "x").result() == std::pair<std::string, bool>("1x", true));
}

TEST_CASE("submit takes functions, members and function objects") {
  ThreadPoolExecutor pool(1);
  Adder adder{10};
  CHECK(pool.submit(&Adder::add, adder, 1).result() == 11);
  CHECK(pool.submit(&Adder::add, &adder, 2).result() == 12);
  CHECK(pool.submit(&Adder::base, adder).result() == 10);
  CHECK(pool.submit(adder, 3).result() == 13);
  CHECK(adder.base == 10);
  CHECK(pool.submit(std::ref(adder), 3).result() == 13);
  CHECK(adder.base == 13);
  CHECK(pool.submit(
                +[](int value) { return value; }, 4)
            .result() == 4);
}

TEST_CASE("arguments are copies, and std::ref passes a reference") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  std::string text = "before";
  int number = 1;
  const auto task = pool.submit(
      [](const std::string& copy, int& reference) {
        reference = 2;
        return copy;
      },
      text, std::ref(number));
  text = "after";
  occupied.release();
  CHECK(task.result() == "before");
  CHECK(number == 2);
}

TEST_CASE("a string literal is passed as a pointer that stays valid") {
  ThreadPoolExecutor pool(1);
  CHECK(pool.submit([](std::string text) { return text + "!"; }, "text").result() == "text!");
}

TEST_CASE("callable, arguments and result may be things that can only be moved") {
  ThreadPoolExecutor pool(1);
  auto captured = std::make_unique<int>(1);
  auto task = pool.submit(
      [captured = std::move(captured)](std::unique_ptr<int> argument) {
        *argument += *captured;
        return argument;
      },
      std::make_unique<int>(2));
  const std::unique_ptr<int> result = std::move(task).result();
  CHECK(*result == 3);
}

TEST_CASE("a task may return a reference, nothing, or a const value") {
  ThreadPoolExecutor pool(1);
  int object = 1;
  const Future<int&> reference = pool.submit([&object]() -> int& { return object; });
  CHECK(&reference.result() == &object);
  const Future<void> nothing = pool.submit([&object] { object = 2; });
  nothing.result();
  CHECK(object == 2);
  const Future<std::string> value = pool.submit([]() -> const std::string { return "x"; });
  CHECK(value.result() == "x");
}

TEST_CASE("a task that throws anything at all ends in its future, and the worker lives") {
  ThreadPoolExecutor pool({.max_workers = 1, .thread_name_prefix = "lives"});
  const auto usual = pool.submit([] { throw std::runtime_error("oops"); });
  const auto number = pool.submit([] { throw 42; });
  const auto null = pool.submit([] { throw nullptr; });
  const auto cancelled = pool.submit([]() -> int { throw CancelledError(); });
  CHECK_THROWS_WITH(usual.result(), "oops");
  CHECK_THROWS_AS(number.result(), int);
  CHECK_THROWS_AS(null.result(), std::nullptr_t);
  CHECK_THROWS_AS(cancelled.result(), CancelledError);
  CHECK_FALSE(cancelled.cancelled());
  CHECK(pool.submit([] { return 1; }).result() == 1);
  CHECK(support::thread_names("lives").size() == 1);
}

TEST_CASE("a failed task throws the same exception object to each who asks") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([] { throw std::runtime_error("oops"); });
  const std::exception_ptr first = task.exception();
  CHECK(task.exception() == first);
  try {
    task.result();
    FAIL("nothing was thrown");
  } catch (...) {
    CHECK(std::current_exception() == first);
  }
}

TEST_CASE("a callable that takes a stop token gets the one of its future") {
  ThreadPoolExecutor pool(1);
  std::latch running(1);
  auto task = pool.submit(
      [&running](std::stop_token token, int value) {
        running.count_down();
        while (!token.stop_requested()) std::this_thread::yield();
        return value;
      },
      5);
  running.wait();
  CHECK(task.running());
  CHECK(task.request_stop());
  CHECK(task.result() == 5);
  CHECK_FALSE(task.request_stop());
}

TEST_CASE("a task that is asked to stop while it is pending starts with the stop requested") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  auto task = pool.submit([](const std::stop_token& token) { return token.stop_requested(); });
  CHECK(task.request_stop());
  occupied.release();
  CHECK(task.result());
}

TEST_CASE("a callable that could do without the stop token gets one") {
  ThreadPoolExecutor pool(1);
  const auto task = [](auto... arguments) { return sizeof...(arguments); };
  CHECK(pool.submit(task, 1).result() == 2);
}

TEST_CASE("a task without a stop token cannot be asked to stop") {
  ThreadPoolExecutor pool(1);
  CHECK_FALSE(pool.submit([] {}).request_stop());
}

TEST_CASE("callable and arguments are destroyed before the result is visible") {
  ThreadPoolExecutor pool(1);
  auto captured = std::make_shared<int>(1);
  auto argument = std::make_shared<int>(2);
  const std::weak_ptr<int> watch_captured = captured;
  const std::weak_ptr<int> watch_argument = argument;
  support::Gate gate;
  const auto task = pool.submit(
      [captured = std::move(captured), at_gate = gate.waiter()](const std::shared_ptr<int>& value) {
        at_gate();
        return *captured + *value;
      },
      std::move(argument));
  std::pair<bool, bool> gone;
  task.add_done_callback([&](const Future<int>&) {
    gone = {watch_captured.expired(), watch_argument.expired()};
  });
  CHECK_FALSE(watch_captured.expired());
  gate.open();
  pool.shutdown();
  CHECK(gone.first);
  CHECK(gone.second);
  CHECK(task.result() == 3);
}

TEST_CASE("callable and arguments of a task that throws are destroyed before that is visible") {
  ThreadPoolExecutor pool(1);
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = captured;
  support::Gate gate;
  const auto task = pool.submit([captured = std::move(captured), at_gate = gate.waiter()] {
    at_gate();
    throw std::runtime_error("oops");
  });
  bool gone = false;
  task.add_done_callback([&](const Future<void>&) { gone = watch.expired(); });
  gate.open();
  pool.shutdown();
  CHECK(gone);
}

TEST_CASE("callable and arguments of a cancelled task are destroyed at once") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = captured;
  auto task = pool.submit([captured = std::move(captured)] {});
  CHECK_FALSE(watch.expired());
  CHECK(task.cancel());
  CHECK(watch.expired());
}

TEST_CASE("a callable that destroys its own future's last other handle is fine") {
  ThreadPoolExecutor pool(1);
  auto holder = std::make_shared<Future<int>>();
  support::Gate gate;
  *holder = pool.submit([holder, at_gate = gate.waiter()] {
    at_gate();
    *holder = Future<int>();
    return 1;
  });
  const Future<int> task = *holder;
  gate.open();
  CHECK(task.result() == 1);
}

TEST_CASE("copying what is submitted may throw, and nothing is accepted then") {
  ThreadPoolExecutor pool(1);
  for (int copies = 0; copies < 2; ++copies) {
    int left = copies;
    const ThrowingCopy callable(left);
    bool ran = false;
    if (copies == 0) {
      CHECK_THROWS_WITH(pool.submit(callable), "no copy");
    } else {
      CHECK_THROWS_WITH(
          pool.submit([&ran](const ThrowingCopy&, const ThrowingCopy&) { ran = true; }, callable,
                      callable),
          "no copy");
    }
    CHECK(pool.wait_idle());
    CHECK_FALSE(ran);
  }
  CHECK(pool.submit([] { return 1; }).result() == 1);
}

TEST_CASE("a result whose move throws makes the future fail") {
  ThreadPoolExecutor pool(1);
  ThrowingMove object;
  const auto task = pool.submit([&object]() -> ThrowingMove&& { return std::move(object); });
  CHECK_THROWS_WITH(task.exception() ? std::rethrow_exception(task.exception()) : void(),
                    "no move");
}

TEST_CASE("a task whose destructor throws is reported and keeps its result") {
  const support::UnraisableReports reports;
  {
    ThreadPoolExecutor pool(1);
    ThrowingDestructor callable;
    callable.armed = true;
    const auto task = pool.submit(std::move(callable));
    CHECK(task.result() == 1);
    CHECK(pool.submit([] { return 2; }).result() == 2);
  }
  CHECK(reports.lines() == std::vector<std::string>{"the destructor of a task: bang"});
}

TEST_CASE("a queued task can be cancelled and never runs") {
  ThreadPoolExecutor pool(1);
  bool ran = false;
  {
    const support::Occupied occupied(pool);
    auto task = pool.submit([&ran] { ran = true; });
    CHECK(task.cancel());
    CHECK_THROWS_AS(task.result(), CancelledError);
  }
  pool.shutdown();
  CHECK_FALSE(ran);
}

namespace {

/// Tells when its last copy is being destroyed, and takes its time over it.
struct SlowToDestroy {
  std::shared_ptr<std::latch> destroying = std::make_shared<std::latch>(1);
  support::Gate::Waiter at_gate;

  void operator()() const {}
  ~SlowToDestroy() {
    if (destroying == nullptr) return;  // moved from
    destroying->count_down();
    at_gate();
  }
  SlowToDestroy(std::shared_ptr<std::latch> latch, support::Gate::Waiter waiter)
      : destroying(std::move(latch)), at_gate(std::move(waiter)) {}
  SlowToDestroy(SlowToDestroy&& other) noexcept = default;
  SlowToDestroy& operator=(SlowToDestroy&&) = delete;
};

}  // namespace

TEST_CASE("a second cancel is true, and waits until what the first one destroys is gone") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto destroying = std::make_shared<std::latch>(1);
  support::Gate gate;
  auto task = pool.submit(SlowToDestroy(destroying, gate.waiter()));
  std::jthread first([task]() mutable { task.cancel(); });
  destroying->wait();
  CHECK_FALSE(task.running());
  CHECK_FALSE(task.done());
  bool cancelled = false;
  std::jthread second([task, &cancelled]() mutable { cancelled = task.cancel() && task.done(); });
  std::this_thread::sleep_for(1ms);  // so that it most likely waits by now
  gate.open();
  CHECK_THROWS_AS(task.result(), CancelledError);
  second.join();
  CHECK(cancelled);
}

TEST_CASE("a callable whose destructor cancels its own future is fine") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  struct CancelsItself {
    Future<void>* future;
    bool* cancelled;
    void operator()() const {}
    ~CancelsItself() {
      if (future != nullptr) *cancelled = future->cancel();
    }
    CancelsItself(Future<void>* which, bool* answer) : future(which), cancelled(answer) {}
    CancelsItself(CancelsItself&& other) noexcept
        : future(std::exchange(other.future, nullptr)), cancelled(other.cancelled) {}
    CancelsItself& operator=(CancelsItself&&) = delete;
  };
  Future<void> task;
  bool cancelled = false;
  task = pool.submit(CancelsItself(&task, &cancelled));
  CHECK(task.cancel());
  CHECK(cancelled);
}

TEST_CASE("a running task cannot be cancelled") {
  ThreadPoolExecutor pool(1);
  std::latch running(1);
  support::Gate gate;
  auto task = pool.submit([&running, at_gate = gate.waiter()] {
    running.count_down();
    at_gate();
    return 1;
  });
  running.wait();
  CHECK(task.running());
  CHECK_FALSE(task.cancel());
  gate.open();
  CHECK(task.result() == 1);
}

TEST_CASE("nobody else can complete a task that a worker is running") {
  ThreadPoolExecutor pool(1);
  std::latch running(1);
  support::Gate gate;
  auto task = pool.submit([&running, at_gate = gate.waiter()] {
    running.count_down();
    at_gate();
    return 1;
  });
  running.wait();
  CHECK_THROWS_AS(task.set_result(2), InvalidStateError);
  CHECK_THROWS_AS(task.set_exception(std::make_exception_ptr(1)), InvalidStateError);
  CHECK_THROWS_AS(task.set_running_or_notify_cancel(), InvalidStateError);
  gate.open();
  CHECK(task.result() == 1);
}

TEST_CASE("a queued task that is completed from outside never runs") {
  ThreadPoolExecutor pool(1);
  bool ran = false;
  {
    const support::Occupied occupied(pool);
    auto task = pool.submit([&ran] {
      ran = true;
      return 1;
    });
    task.set_result(2);
    CHECK(task.result() == 2);
  }
  pool.shutdown();
  CHECK_FALSE(ran);
}

TEST_CASE("a result that is not there in time is a TimeoutError, and the task goes on") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto task = pool.submit([] { return 1; });
  CHECK_THROWS_AS(task.result(1ms), TimeoutError);
  CHECK_THROWS_AS(task.exception(0s), TimeoutError);
  occupied.release();
  CHECK(task.result() == 1);
}

TEST_CASE("dropping a future neither cancels its task nor waits for it") {
  std::atomic<bool> ran{false};
  {
    ThreadPoolExecutor pool(1);
    const support::Occupied occupied(pool);
    static_cast<void>(pool.submit([&ran] { ran = true; }));
    CHECK_FALSE(ran);
  }
  CHECK(ran);
}

TEST_CASE("a callback of a task runs in the worker and may submit") {
  ThreadPoolExecutor pool({.max_workers = 1, .thread_name_prefix = "cb"});
  support::Gate gate;
  Future<int> second;
  std::latch submitted(1);
  const auto first = pool.submit([at_gate = gate.waiter()] {
    at_gate();
    return 1;
  });
  first.add_done_callback([&](const Future<int>& done) {
    second = pool.submit([value = done.result()] { return value + 1; });
    submitted.count_down();
  });
  gate.open();
  submitted.wait();
  CHECK(second.result() == 2);
}

namespace {

/// Afterwards all of them sleep.
void start_all_workers(ThreadPoolExecutor& executor) {
  std::latch all(static_cast<std::ptrdiff_t>(executor.max_workers()));
  for (std::size_t i = 0; i < executor.max_workers(); ++i) {
    executor.post([&] { all.arrive_and_wait(); });
  }
  executor.wait_idle();
}

}  // namespace

TEST_CASE("while a callback waits for what is submitted only now, another worker runs that") {
  ThreadPoolExecutor executor(2);
  start_all_workers(executor);
  for (int i = 0; i < 20; ++i) {
    std::latch entered(1);
    std::latch submitted_task(1);
    auto future = executor.submit([] { std::this_thread::sleep_for(1ms); });
    future.add_done_callback([&](const Future<void>&) {
      entered.count_down();
      submitted_task.wait();
    });
    entered.wait();
    executor.post([&] { submitted_task.count_down(); });
    REQUIRE(executor.wait_idle(60s));
  }
}

TEST_CASE(
    "while a result's destructor waits for what is submitted only now, another worker runs that") {
  struct Waits {
    std::latch* entered;
    std::latch* submitted_task;
    Waits(std::latch* one, std::latch* other) : entered(one), submitted_task(other) {}
    Waits(Waits&& other) noexcept
        : entered(std::exchange(other.entered, nullptr)), submitted_task(other.submitted_task) {}
    Waits& operator=(Waits&&) = delete;
    ~Waits() {
      if (entered == nullptr) return;
      entered->count_down();
      submitted_task->wait();
    }
  };
  ThreadPoolExecutor executor(2);
  start_all_workers(executor);
  for (int i = 0; i < 20; ++i) {
    std::latch entered(1);
    std::latch submitted_task(1);
    static_cast<void>(executor.submit([&] {
      std::this_thread::sleep_for(1ms);  // the only handle goes meanwhile
      return Waits(&entered, &submitted_task);
    }));
    entered.wait();
    executor.post([&] { submitted_task.count_down(); });
    REQUIRE(executor.wait_idle(60s));
  }
}

TEST_CASE("while a callback takes its time, as many workers as are needed run what is queued") {
  for (int i = 0; i < 20; ++i) {
    ThreadPoolExecutor executor(3);
    start_all_workers(executor);
    std::atomic<bool> running = false;
    std::atomic<bool> queued = false;
    std::latch last_task(1);
    auto future = executor.submit([&] {
      running = true;
      while (!queued) {
      }
    });
    future.add_done_callback([&](const Future<void>&) { last_task.wait(); });
    while (!running) {
    }
    executor.post([&] { last_task.wait(); });
    executor.post([&] { last_task.count_down(); });
    queued = true;
    REQUIRE(executor.wait_idle(60s));
  }
}

TEST_CASE("a callback of a task that throws is reported, and the worker lives") {
  const support::UnraisableReports reports;
  ThreadPoolExecutor pool(1);
  support::Gate gate;
  const auto task = pool.submit(gate.waiter());
  task.add_done_callback([](const Future<void>&) { throw 42; });
  gate.open();
  CHECK(pool.submit([] { return 1; }).result() == 1);
  CHECK(reports.lines() == std::vector<std::string>{"a done-callback of a future: ?"});
}

// post

TEST_CASE("a posted task runs with its arguments") {
  std::atomic<int> sum{0};
  {
    ThreadPoolExecutor pool(2);
    for (int i = 1; i <= 100; ++i) pool.post([&sum](int value) { sum += value; }, i);
  }
  CHECK(sum == 5050);
}

TEST_CASE("what a posted task throws goes to the unraisable hook, and the worker lives") {
  const support::UnraisableReports reports;
  {
    ThreadPoolExecutor pool(1);
    pool.post([] { throw std::runtime_error("oops"); });
    pool.post([] { throw 42; });
    CHECK(pool.submit([] { return 1; }).result() == 1);
  }
  CHECK(reports.lines() == std::vector<std::string>{"a posted task: oops", "a posted task: ?"});
}

TEST_CASE("a posted task is destroyed once it has run") {
  ThreadPoolExecutor pool(1);
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  pool.post([token = std::move(token)] {});
  CHECK(pool.wait_idle());
  CHECK(watch.expired());
}

TEST_CASE("what posted and submitted tasks there are run in one order") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    for (int i = 0; i < 50; ++i) {
      if (i % 2 == 0) {
        pool.post([&order, i] { order.push_back(i); });
      } else {
        static_cast<void>(pool.submit([&order, i] { order.push_back(i); }));
      }
    }
  }
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.size() == 50);
}

// Order

TEST_CASE("one worker runs tasks in the order they were submitted") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    for (int i = 0; i < 5000; ++i) {
      static_cast<void>(pool.submit([&order, i] { order.push_back(i); }));
    }
  }
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.size() == 5000);
}

TEST_CASE("one worker runs what tasks submit and what comes from outside in one order") {
  std::vector<std::string> order;
  {
    ThreadPoolExecutor pool(1);
    std::binary_semaphore turn_of_task(0);
    std::binary_semaphore turn_of_main(0);
    pool.post([&] {
      for (const char* name : {"task 1", "task 2", "task 3"}) {
        turn_of_task.acquire();
        pool.post([&order, name] { order.emplace_back(name); });
        turn_of_main.release();
      }
    });
    for (const char* name : {"main 1", "main 2", "main 3"}) {
      pool.post([&order, name] { order.emplace_back(name); });
      turn_of_task.release();
      turn_of_main.acquire();
    }
    pool.post([&order] { order.emplace_back("main 4"); });
  }
  CHECK(order == std::vector<std::string>{"main 1", "task 1", "main 2", "task 2", "main 3",
                                          "task 3", "main 4"});
}

TEST_CASE("one worker runs what a task submits in the order it was submitted") {
  std::vector<int> order;
  {
    ThreadPoolExecutor pool(1);
    pool.post([&] {
      for (int i = 0; i < 1000; ++i) pool.post([&order, i] { order.push_back(i); });
    });
    pool.wait_idle();
  }
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.size() == 1000);
}

TEST_CASE("two workers start tasks in the order they were submitted") {
  constexpr std::size_t count = 60;
  std::vector<std::unique_ptr<std::binary_semaphore>> may_end;
  for (std::size_t i = 0; i < count; ++i) {
    may_end.push_back(std::make_unique<std::binary_semaphore>(0));
  }
  std::counting_semaphore<> begun(0);
  std::vector<std::atomic<bool>> has_begun(count);
  ThreadPoolExecutor pool(2);
  std::vector<Future<void>> tasks;
  for (std::size_t i = 0; i < count; ++i) {
    tasks.push_back(pool.submit([&, i] {
      has_begun[i] = true;
      begun.release();
      may_end[i]->acquire();
    }));
  }
  begun.acquire();
  bool in_order = true;
  for (std::size_t i = 0; i < count; ++i) {
    // i and i + 1 run, and nothing that comes later.
    if (i + 1 < count) begun.acquire();
    in_order = in_order && has_begun[i] && (i + 1 == count || has_begun[i + 1]) &&
               (i + 2 >= count || !has_begun[i + 2]);
    may_end[i]->release();
  }
  CHECK(in_order);
}

TEST_CASE("tasks submitted by several threads run in each thread's order") {
  std::vector<std::pair<int, int>> order;
  {
    ThreadPoolExecutor pool(1);
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&pool, &order, thread] {
        for (int i = 0; i < 500; ++i) {
          pool.post([&order, thread, i] { order.emplace_back(thread, i); });
        }
      });
    }
    threads.clear();
  }
  REQUIRE(order.size() == 1500);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  CHECK(std::is_sorted(order.begin(), order.end()));
}

// Threads

TEST_CASE("the default number of workers is Python's, and a positive number") {
  ThreadPoolExecutor pool;
  CHECK(pool.max_workers() == default_thread_workers());
  CHECK(pool.max_workers() >= 5);
  CHECK(pool.max_workers() <= 32);
}

TEST_CASE("a pool of no workers is refused in Python's words") {
  CHECK_THROWS_AS(ThreadPoolExecutor(0), std::invalid_argument);
  CHECK_THROWS_WITH(ThreadPoolExecutor({.max_workers = 0}), "max_workers must be greater than 0");
}

TEST_CASE("no thread starts before it is needed") {
  ThreadPoolExecutor pool({.max_workers = 4, .thread_name_prefix = "lazy"});
  CHECK(support::thread_names("lazy").empty());
  pool.submit([] {}).result();
  CHECK(support::thread_names("lazy").size() == 1);
}

TEST_CASE("an idle thread is used before a new one is started") {
  ThreadPoolExecutor pool({.max_workers = 4, .thread_name_prefix = "reuse"});
  for (int i = 0; i < 200; ++i) REQUIRE(pool.submit([i] { return i; }).result() == i);
  CHECK(support::thread_names("reuse").size() == 1);
}

TEST_CASE("as many threads start as are needed and never more than the limit") {
  ThreadPoolExecutor pool({.max_workers = 3, .thread_name_prefix = "limit"});
  const support::Occupied first(pool, 1);
  CHECK(support::thread_names("limit").size() == 1);
  const support::Occupied others(pool, 2);  // begins only if all three run side by side
  std::vector<Future<void>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(pool.submit([] {}));
  CHECK(support::thread_names("limit").size() == 3);
}

TEST_CASE("threads are named with the prefix and a number, visible to the system") {
  ThreadPoolExecutor pool({.max_workers = 3, .thread_name_prefix = "io"});
  const support::Occupied all(pool, 3);
  auto names = support::thread_names("io");
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"io_0", "io_1", "io_2"});
}

TEST_CASE("a long prefix is cut so that the number stays") {
  ThreadPoolExecutor pool({.max_workers = 2, .thread_name_prefix = "abcdefghijklmnopqrstuvwxyz"});
  const support::Occupied all(pool, 2);
  auto names = support::thread_names("abcd");
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"abcdefghijklm_0", "abcdefghijklm_1"});
}

TEST_CASE("a pool without a prefix has a name of its own") {
  ThreadPoolExecutor pool(1);
  const auto name = pool.submit([] {
    char text[16] = {};
    ::pthread_getname_np(::pthread_self(), text, sizeof text);
    return std::string(text);
  });
  CHECK_THAT(name.result(), support::matchers::starts_with("ThreadPool"));
  CHECK_THAT(name.result(), support::matchers::ends_with("_0"));
}

TEST_CASE("all workers take part when there is work for all") {
  ThreadPoolExecutor pool(3);
  std::latch all(3);
  std::vector<Future<void>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(pool.submit([&all] { all.arrive_and_wait(); }));
  }
  CHECK(wait(tasks).done.size() == 3);
}

TEST_CASE("what a task submits is run by other workers while it goes on") {
  ThreadPoolExecutor pool(2);
  const auto task = pool.submit([&pool] {
    std::latch ran(1);
    pool.post([&ran] { ran.count_down(); });
    ran.wait();  // no wait for a future: another worker has to take it
  });
  CHECK(task.exception() == nullptr);
}

TEST_CASE("the initializer runs once in each thread, before its tasks") {
  std::atomic<int> calls{0};
  static thread_local bool initialized = false;
  ThreadPoolExecutor pool({.max_workers = 3, .initializer = [&calls] {
                             initialized = true;
                             ++calls;
                           }});
  std::latch all(3);
  std::vector<Future<bool>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(pool.submit([&all] {
      all.arrive_and_wait();
      return initialized;
    }));
  }
  for (const auto& task : tasks) CHECK(task.result());
  CHECK(calls == 3);
}

TEST_CASE("an initializer that throws breaks the pool: pending futures and later submits fail") {
  const support::UnraisableReports reports;
  support::Gate gate;
  ThreadPoolExecutor pool({.max_workers = 1, .initializer = [at_gate = gate.waiter()] {
                             at_gate();
                             throw std::runtime_error("no licence");
                           }});
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(pool.submit([] { return 1; }));
  gate.open();
  for (const auto& task : tasks) CHECK_THROWS_AS(task.result(), BrokenThreadPool);
  CHECK_THROWS_AS(pool.submit([] {}), BrokenThreadPool);
  CHECK_THROWS_AS(pool.post([] {}), BrokenThreadPool);
  CHECK_THROWS_WITH(pool.submit([] {}), support::matchers::contains("no licence"));
  CHECK(reports.lines() ==
        std::vector<std::string>{"the initializer of a thread pool: no licence"});
}

TEST_CASE("an initializer may throw anything") {
  const support::UnraisableReports reports;
  ThreadPoolExecutor pool({.max_workers = 1, .initializer = [] { throw 42; }});
  CHECK_THROWS_AS(
      [&] {
        for (;;) static_cast<void>(pool.submit([] {}));  // until it is known to be broken
      }(),
      BrokenThreadPool);
  pool.shutdown();
}

TEST_CASE("a broken pool can be shut down, waited for and destroyed") {
  const support::UnraisableReports reports;
  ThreadPoolExecutor pool({.max_workers = 2, .initializer = [] { throw 42; }});
  const auto task = pool.submit([] {});
  CHECK_THROWS_AS(task.result(), BrokenThreadPool);
  CHECK(pool.wait_idle());
  pool.shutdown();
}

TEST_CASE("while an initializer takes its time, another thread starts") {
  std::atomic<int> number{0};
  support::Gate gate;
  ThreadPoolExecutor pool({.max_workers = 2, .initializer = [&number, at_gate = gate.waiter()] {
                             if (number++ == 0) at_gate();  // only the first thread is slow
                           }});
  const auto first = pool.submit([] { return 1; });
  const auto second = pool.submit([] { return 2; });
  CHECK(first.result() == 1);
  CHECK(second.result() == 2);
  gate.open();
}

// wait_idle

TEST_CASE("a pool that was never used is idle") {
  ThreadPoolExecutor pool(1);
  CHECK(pool.wait_idle());
  CHECK(pool.wait_idle(0s));
}

TEST_CASE("wait_idle returns when everything has run") {
  ThreadPoolExecutor pool(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> ran{0};
    for (int i = 0; i < 20; ++i) pool.post([&ran] { ++ran; });
    REQUIRE(pool.wait_idle());
    REQUIRE(ran == 20);
  }
}

TEST_CASE("wait_idle waits for what tasks submit") {
  ThreadPoolExecutor pool(2);
  std::atomic<int> depth{0};
  struct Recursion {
    ThreadPoolExecutor& pool;
    std::atomic<int>& depth;
    void operator()() const {
      if (++depth < 50) pool.post(*this);
    }
  };
  pool.post(Recursion{pool, depth});
  CHECK(pool.wait_idle());
  CHECK(depth == 50);
}

TEST_CASE("wait_idle with a timeout is false while a task runs") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  CHECK_FALSE(pool.wait_idle(1ms));
  CHECK_FALSE(pool.wait_idle(-1s));
  occupied.release();
  CHECK(pool.wait_idle());
}

TEST_CASE("wait_idle in a worker of the pool is an error, not a hang") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([&pool] { return pool.wait_idle(); });
  CHECK_THROWS_AS(task.result(), Error);
}

TEST_CASE("several threads may wait until the pool is idle") {
  ThreadPoolExecutor pool(2);
  std::atomic<int> idle{0};
  {
    const support::Occupied occupied(pool);
    std::vector<std::jthread> waiters;
    for (int i = 0; i < 3; ++i) {
      waiters.emplace_back([&pool, &idle] {
        if (pool.wait_idle()) ++idle;
      });
    }
    CHECK(idle == 0);
    occupied.release();
    waiters.clear();
  }
  CHECK(idle == 3);
}

TEST_CASE("a pool can be used again after it was idle, by any number of threads") {
  ThreadPoolExecutor pool(2);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::jthread> threads;
    std::atomic<int> sum{0};
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&pool, &sum] {
        for (int i = 0; i < 20; ++i) sum += pool.submit([i] { return i; }).result();
      });
    }
    threads.clear();
    REQUIRE(sum == 3 * 190);
    REQUIRE(pool.wait_idle());
  }
}
