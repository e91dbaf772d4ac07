// SPDX-License-Identifier: MIT

// Every allocation of submit, map, wait and the rest fails once, the first, the second, and so on.
// A program of its own, since it replaces operator new for all of it.

#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/gate.hpp"

namespace {

/// How many allocations of this thread still succeed before one fails; negative: all do.
thread_local long allocations_left = -1;
thread_local bool has_failed = false;

bool fails_now() {
  if (allocations_left < 0 || allocations_left-- != 0) return false;
  has_failed = true;
  return true;
}

void* allocate(std::size_t size, std::size_t alignment) {
  if (fails_now()) throw std::bad_alloc();
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, 1); }
void* operator new[](std::size_t size) { return allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

/// What came of an action during which one allocation failed.
enum class Outcome { succeeded, threw };

/// Runs `action`, whose allocation number `index` fails. Sets `reached` to whether there was one.
template <class Action>
Outcome with_failure(long index, bool& reached, Action action) {
  has_failed = false;
  allocations_left = index;
  Outcome outcome = Outcome::succeeded;
  try {
    action();
  } catch (const std::bad_alloc&) {
    outcome = Outcome::threw;
  }
  allocations_left = -1;
  reached = has_failed;
  return outcome;
}

/// Calls `round(index, reached)` for the first allocation, the second, and so on, until there are
/// no more. Gives how many there were.
template <class Round>
long for_each_allocation(Round round) {
  for (long index = 0;; ++index) {
    bool reached = false;
    round(index, reached);
    if (!reached) return index;
  }
}

/// Counts its living objects, and allocates when copied.
class Token {
 public:
  Token() { ++alive; }
  Token(const Token& other) : text_(other.text_) { ++alive; }
  Token(Token&& other) noexcept : text_(std::move(other.text_)) { ++alive; }
  Token& operator=(const Token&) = default;
  Token& operator=(Token&&) = default;
  ~Token() { --alive; }

  inline static std::atomic<int> alive{0};

 private:
  std::string text_ = std::string(100, 'x');
};

/// Submits one task in the given way while an allocation fails, and checks that it was accepted
/// whole or not at all.
template <class Submit>
void check_submit(Submit submit) {
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    std::atomic<int> ran{0};
    bool accepted = false;
    {
      ThreadPoolExecutor pool(2);
      const Token token;
      const auto task = [&ran](const Token&) { ++ran; };
      accepted =
          with_failure(index, reached, [&] { submit(pool, task, token); }) == Outcome::succeeded;
      REQUIRE(pool.wait_idle());
      REQUIRE(ran == (accepted ? 1 : 0));
      ran = 0;
      REQUIRE(pool.submit([] { return 1; }).result() == 1);  // the pool is as good as before
    }
    REQUIRE(Token::alive == 0);
    REQUIRE(ran == 0);
    REQUIRE((accepted || reached));
  });
  CHECK(allocations >= 1);
}

std::vector<int> first_numbers(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

TEST_CASE("this program can make allocations fail") {
  bool reached = false;
  CHECK(with_failure(0, reached, [] { static_cast<void>(std::make_unique<int>(1)); }) ==
        Outcome::threw);
  CHECK(reached);
  CHECK(with_failure(1, reached, [] { static_cast<void>(std::make_unique<int>(1)); }) ==
        Outcome::succeeded);
  CHECK_FALSE(reached);
}

TEST_CASE("submit without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    static_cast<void>(pool.submit(task, token));
  });
}

TEST_CASE("post without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    pool.post(task, token);
  });
}

TEST_CASE("submit with a priority without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    static_cast<void>(pool.submit(TaskOptions{.priority = 1}, task, token));
  });
}

TEST_CASE("submit with a delay without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    static_cast<void>(pool.submit(TaskOptions{.delay = 1us}, task, token));
  });
}

TEST_CASE("submit with futures as arguments without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    Future<void> argument;
    const auto future = pool.submit(task, argument, token);
    argument.set_result();
    future.result();  // no memory for the thread that is needed only now: it ends here
  });
}

TEST_CASE("submit with a delay and futures without memory accepts a task whole or not at all") {
  check_submit([](ThreadPoolExecutor& pool, const auto& task, const Token& token) {
    Future<void> argument;
    argument.set_result();
    static_cast<void>(pool.submit(TaskOptions{.delay = 1us}, task, argument, token));
  });
}

TEST_CASE("submit to a busy pool without memory accepts each task whole or not at all") {
  // Enough tasks that the queue has to grow in between.
  constexpr int tasks = 2500;
  for (long index = 0; index < 60; ++index) {
    std::atomic<int> ran{0};
    int accepted = 0;
    {
      ThreadPoolExecutor pool(1);
      const support::Occupied occupied(pool);
      for (int i = 0; i < tasks; ++i) {
        bool reached = false;
        // Every fortieth submit fails at its allocation number `index / 20`, at shifting places.
        const bool armed = i % 20 == index % 20;
        if (with_failure(armed ? index / 20 : 1'000'000, reached, [&] {
              static_cast<void>(pool.submit([&ran] { ++ran; }));
            }) == Outcome::succeeded) {
          ++accepted;
        }
      }
    }
    REQUIRE(ran == accepted);
  }
}

TEST_CASE("submit inside a task without memory accepts each task whole or not at all") {
  constexpr int tasks = 600;  // the worker's own queue has to grow
  for_each_allocation([&](long index, bool& reached) {
    std::atomic<int> ran{0};
    int accepted = 0;
    {
      ThreadPoolExecutor pool(1);
      const auto outer = pool.submit([&] {
        for (int i = 0; i < tasks; ++i) {
          bool failed = false;
          const bool armed = i == tasks - 1 || (i & (i - 1)) == 0;
          if (with_failure(armed ? index : 1'000'000, failed, [&] {
                static_cast<void>(pool.submit([&ran] { ++ran; }));
              }) == Outcome::succeeded) {
            ++accepted;
          }
          reached = reached || failed;
        }
      });
      outer.result();
    }
    REQUIRE(ran == accepted);
    if (index > 20) reached = false;
  });
}

TEST_CASE("map without memory leaves nothing behind") {
  for (const MapOptions& options :
       {MapOptions{}, MapOptions{.chunksize = 3}, MapOptions{.buffersize = 2},
        MapOptions{.chunksize = 2, .buffersize = 2}}) {
    const std::vector<Token> tokens(7);
    const long allocations = for_each_allocation([&](long index, bool& reached) {
      {
        ThreadPoolExecutor pool(1);
        std::size_t given = 0;
        const Outcome outcome = with_failure(index, reached, [&] {
          for ([[maybe_unused]] auto& result : pool.map(
                   options, [](Token token) { return token; }, tokens)) {
            ++given;
          }
        });
        REQUIRE(given == (outcome == Outcome::succeeded ? 7U : given));
        REQUIRE(given <= 7);
        REQUIRE(pool.wait_idle());
      }
      REQUIRE(Token::alive == 7);
    });
    CHECK(allocations >= 7);
  }
}

TEST_CASE("wait without memory throws and leaves the futures as they are") {
  for (const ReturnWhen rule : {ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION}) {
    const long allocations = for_each_allocation([&](long index, bool& reached) {
      std::vector<Future<int>> futures(5);
      std::swap(futures[0], futures[3]);
      with_failure(index, reached,
                   [&] { static_cast<void>(wait(futures, {.timeout = 0s, .return_when = rule})); });
      for (Future<int>& future : futures) {
        REQUIRE_FALSE(future.done());
        future.set_result(1);
      }
      REQUIRE(wait(futures, {.return_when = rule}).done.size() == 5);
    });
    CHECK(allocations >= 1);
  }
}

TEST_CASE("as_completed without memory throws and leaves the futures as they are") {
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    std::vector<Future<int>> futures(5);
    std::swap(futures[0], futures[3]);
    with_failure(index, reached, [&] {
      auto range = as_completed(futures);
      futures[2].set_result(1);
      static_cast<void>(*range.begin());
    });
    for (Future<int>& future : futures) {
      if (!future.done()) future.set_result(1);
    }
    std::size_t given = 0;
    for ([[maybe_unused]] const auto& future : as_completed(futures)) ++given;
    REQUIRE(given == 5);
  });
  CHECK(allocations >= 1);
}

TEST_CASE("then without memory throws and adds nothing") {
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    Future<int> source;
    int calls = 0;
    {
      Future<int> next;
      const Token token;
      const Outcome outcome = with_failure(index, reached, [&] {
        next = source.then([&calls, token](int value) { return value + ++calls; });
      });
      source.set_result(1);
      REQUIRE(calls == (outcome == Outcome::succeeded ? 1 : 0));
    }
    REQUIRE(Token::alive == 0);
  });
  CHECK(allocations >= 1);
}

TEST_CASE("add_done_callback without memory throws and adds nothing") {
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    Future<int> future;
    int calls = 0;
    {
      const Token token;
      const Outcome outcome = with_failure(index, reached, [&] {
        future.add_done_callback([&calls, token](const Future<int>&) { ++calls; });
      });
      future.set_result(1);
      REQUIRE(calls == (outcome == Outcome::succeeded ? 1 : 0));
    }
    REQUIRE(Token::alive == 0);
  });
  CHECK(allocations >= 1);
}

TEST_CASE("set_result without memory throws and leaves the future pending") {
  const std::string text(100, 'x');
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    Future<std::string> future;
    const Outcome outcome = with_failure(index, reached, [&] { future.set_result(text); });
    REQUIRE(future.done() == (outcome == Outcome::succeeded));
    if (!future.done()) future.set_result(text);
    REQUIRE(future.result() == text);
  });
  CHECK(allocations == 1);
}

TEST_CASE("a task that finds no memory ends in its future") {
  ThreadPoolExecutor pool(1);
  const auto task = pool.submit([] {
    allocations_left = 0;
    auto text = std::string(100, 'x');
    return text;
  });
  CHECK_THROWS_AS(task.result(), std::bad_alloc);
  CHECK(pool.submit([] { return std::string(100, 'y'); }).result() == std::string(100, 'y'));
}

TEST_CASE("a pool that cannot be made for want of memory leaves nothing behind") {
  const std::string prefix(100, 'x');
  const Token token;
  const long allocations = for_each_allocation([&](long index, bool& reached) {
    ThreadPoolExecutor::Options options{.max_workers = 3, .thread_name_prefix = prefix};
    options.initializer = [token] {};
    with_failure(index, reached, [&] { const ThreadPoolExecutor pool(options); });
  });
  CHECK(allocations >= 1);
  CHECK(Token::alive == 1);
}

TEST_CASE("completing, cancelling, waiting and ending need no memory") {
  Future<int> argument;
  Future<int> direct;
  const auto next = direct.then([](int value) { return value; });
  bool called = false;
  direct.add_done_callback([&called](const Future<int>&) { called = true; });
  std::vector<Future<int>> tasks;
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  {
    const support::Occupied occupied(*pool);
    for (int i = 0; i < 50; ++i) tasks.push_back(pool->submit([i] { return i; }));
    tasks.push_back(pool->submit(TaskOptions{.priority = 1}, [] { return 0; }));
    tasks.push_back(pool->submit(TaskOptions{.delay = 1h}, [] { return 0; }));
    tasks.push_back(pool->submit([](int value) { return value; }, argument));
    bool reached = false;
    const Outcome outcome = with_failure(0, reached, [&] {
      direct.set_result(1);
      tasks[0].cancel();
      tasks[51].cancel();
      pool->shutdown(false, true);
      occupied.release();
      pool->shutdown();
      pool.reset();
    });
    CHECK(outcome == Outcome::succeeded);
  }
  CHECK(called);
  CHECK(next.result() == 1);
  for (const auto& task : tasks) CHECK(task.done());
}

TEST_CASE("the destructor of a pool with queued and delayed tasks needs no memory") {
  std::vector<Future<int>> tasks;
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  {
    const support::Occupied occupied(*pool);
    for (int i = 0; i < 50; ++i) tasks.push_back(pool->submit([i] { return i; }));
    for (int i = 0; i < 10; ++i) {
      tasks.push_back(pool->submit(TaskOptions{.delay = 1ms}, [i] { return 50 + i; }));
    }
    bool reached = false;
    occupied.release();
    with_failure(0, reached, [&] { pool.reset(); });
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) CHECK(tasks[i].result() == static_cast<int>(i));
}

TEST_CASE("map over many elements finds its memory in one piece or says so") {
  for_each_allocation([&](long index, bool& reached) {
    ThreadPoolExecutor pool(1);
    std::vector<int> results;
    const Outcome outcome = with_failure(index, reached, [&] {
      results = pool.map([](int value) { return value; }, first_numbers(9000)).to_vector();
    });
    REQUIRE((outcome == Outcome::threw || results == first_numbers(9000)));
    if (index >= 30) reached = false;  // the rest is more of the same
  });
}
