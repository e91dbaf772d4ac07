// SPDX-License-Identifier: MIT

// map(): what it reads, when it submits, and what its results do.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <deque>
#include <functional>
#include <future>
#include <iterator>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "futures_support.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/inline_executor.hpp"

using namespace concurrent::futures;
using namespace futures_test;
using namespace std::chrono_literals;
using support::InlineExecutor;

namespace {

/// 0, 1, 2, … without end; counts how many were read.
class Endless {
 public:
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(int* reads) : reads_(reads) {}
    int operator*() const {
      ++*reads_;
      return value_;
    }
    Iterator& operator++() {
      ++value_;
      return *this;
    }
    void operator++(int) { ++value_; }
    friend bool operator==(const Iterator&, std::default_sentinel_t) { return false; }

   private:
    int value_ = 0;
    int* reads_;
  };

  explicit Endless(int& reads) : reads_(&reads) {}
  [[nodiscard]] Iterator begin() const { return Iterator(reads_); }
  [[nodiscard]] static std::default_sentinel_t end() { return {}; }

 private:
  int* reads_;
};

}  // namespace

TEMPLATE_TEST_CASE("map gives the results in the order of the input", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::vector<int> numbers = first_numbers(1000);
  int expected = 0;
  for (const int& square : executor.map([](int value) { return value * value; }, numbers)) {
    REQUIRE(square == expected * expected);
    ++expected;
  }
  CHECK(expected == 1000);
}

TEMPLATE_TEST_CASE("map takes several ranges in step and stops at the shortest", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::vector<int> numbers{1, 2, 3, 4};
  const std::list<std::string> words{"a", "b", "c"};
  const auto join = [](int number, const std::string& word) {
    return std::to_string(number) + word;
  };
  CHECK(executor.map(join, numbers, words).to_vector() ==
        std::vector<std::string>{"1a", "2b", "3c"});
  const auto swapped = [&join](const std::string& word, int number) { return join(number, word); };
  CHECK(executor.map(swapped, words, numbers).to_vector().size() == 3);
}

TEMPLATE_TEST_CASE("map over an empty range gives nothing", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::vector<int> none;
  CHECK(executor.map([](int value) { return value; }, none).to_vector().empty());
  CHECK(
      executor.map([](int a, int b) { return a + b; }, first_numbers(3), none).to_vector().empty());
}

TEMPLATE_TEST_CASE("map stops at the shortest of a finite and an endless range", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  int reads = 0;
  const auto sums =
      executor.map([](int a, int b) { return a + b; }, first_numbers(4), Endless(reads))
          .to_vector();
  CHECK(sums == std::vector<int>{0, 2, 4, 6});
}

TEMPLATE_TEST_CASE("map gives the same whatever the chunk size and the buffer size", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::vector<int> numbers = first_numbers(23);
  const std::size_t chunksize = GENERATE(1U, 2U, 5U, 23U, 100U);
  for (const std::optional<std::size_t> buffersize :
       {std::optional<std::size_t>(), std::optional<std::size_t>(1), std::optional<std::size_t>(3),
        std::optional<std::size_t>(100)}) {
    CHECK(executor
              .map(
                  MapOptions{.chunksize = chunksize, .buffersize = buffersize},
                  [](int value) { return value; }, numbers)
              .to_vector() == numbers);
  }
}

TEMPLATE_TEST_CASE("an exception of map appears at its own element and no other result is lost", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 2U, 3U, 7U, 50U);
  auto results = executor.map(MapOptions{.chunksize = chunksize}, throw_on_odd, first_numbers(20));
  int element = 0;
  for (auto at = results.begin(); at != results.end(); ++at, ++element) {
    if (element % 2 == 0) {
      REQUIRE(*at == element);
    } else {
      REQUIRE_THROWS_WITH(*at, "odd: " + std::to_string(element));
    }
  }
  CHECK(element == 20);
}

TEMPLATE_TEST_CASE("an element of map can be looked at twice or not at all", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 3U);
  auto results = executor.map(MapOptions{.chunksize = chunksize}, throw_on_odd, first_numbers(5));
  auto at = results.begin();
  CHECK(*at == 0);
  CHECK(*at == 0);
  ++at;
  CHECK_THROWS_WITH(*at, "odd: 1");
  CHECK_THROWS_WITH(*at, "odd: 1");
  ++at;
  ++at;  // 2 and the exception of 3 were not looked at
  ++at;
  CHECK(*at == 4);
}

TEMPLATE_TEST_CASE("to_vector and wait throw what the first failing element threw", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  auto results = executor.map(throw_on_odd, first_numbers(9));
  CHECK_THROWS_WITH(std::move(results).to_vector(), "odd: 1");
  auto others = executor.map(throw_on_odd, first_numbers(9));
  CHECK_THROWS_WITH(std::move(others).wait(), "odd: 1");
}

TEMPLATE_TEST_CASE("map of a callable that returns nothing gives one element a call", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 4U);
  std::atomic<int> sum{0};
  auto results = executor.map(
      MapOptions{.chunksize = chunksize}, [&sum](int value) { sum += value; }, first_numbers(10));
  CHECK(std::ranges::distance(results.begin(), results.end()) == 10);
  executor.map([&sum](int value) { sum += value; }, first_numbers(10)).wait();
  executor.shutdown();
  CHECK(sum == 90);
}

TEMPLATE_TEST_CASE("map of a callable that returns a reference gives the very objects", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 2U);
  std::vector<int> objects(5);
  std::size_t index = 0;
  const auto pick = [&objects](int i) -> int& { return objects[static_cast<std::size_t>(i)]; };
  for (int& object : executor.map(MapOptions{.chunksize = chunksize}, pick, first_numbers(5))) {
    CHECK(&object == &objects[index++]);
  }
}

TEMPLATE_TEST_CASE("map takes elements and gives results that can only be moved", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::size_t chunksize = GENERATE(1U, 2U);
  std::vector<std::unique_ptr<int>> pointers;
  for (int i = 0; i < 5; ++i) pointers.push_back(std::make_unique<int>(i));
  const std::ranges::subrange moving(std::make_move_iterator(pointers.begin()),
                                     std::make_move_iterator(pointers.end()));
  auto results = executor.map(
      MapOptions{.chunksize = chunksize},
      [](std::unique_ptr<int> pointer) {
        ++*pointer;
        return pointer;
      },
      moving);
  int expected = 1;
  for (std::unique_ptr<int>& result : results) {
    const std::unique_ptr<int> taken = std::move(result);
    CHECK(*taken == expected++);
  }
  CHECK(pointers[0] == nullptr);
}

TEMPLATE_TEST_CASE("map takes single-pass ranges and C arrays and views", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const auto twice = [](int value) { return 2 * value; };
  std::istringstream stream("1 2 3");
  const std::ranges::subrange numbers{std::istream_iterator<int>(stream),
                                      std::istream_iterator<int>()};
  CHECK(executor.map(twice, numbers).to_vector() == std::vector<int>{2, 4, 6});
  const int array[] = {1, 2};
  CHECK(executor.map(twice, array).to_vector() == std::vector<int>{2, 4});
  CHECK(executor.map(twice, std::views::iota(0, 3)).to_vector() == std::vector<int>{0, 2, 4});
  const std::vector<bool> bits{true, false};
  CHECK(executor.map([](bool bit) { return !bit; }, bits).to_vector() ==
        std::vector<bool>{false, true});
}

TEMPLATE_TEST_CASE("map calls member functions and function pointers", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const std::vector<std::string> words{"a", "bcd"};
  CHECK(executor.map(&std::string::size, words).to_vector() == std::vector<std::size_t>{1, 3});
  CHECK(executor.map(&throw_on_odd, std::vector{2}).to_vector() == std::vector<int>{2});
}

TEMPLATE_TEST_CASE("a chunk size or a buffer size of zero is an error in Python's words", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  const auto same = [](int value) { return value; };
  const std::vector<int> numbers = first_numbers(3);
  CHECK_THROWS_AS(executor.map(MapOptions{.chunksize = 0}, same, numbers), std::invalid_argument);
  CHECK_THROWS_WITH(executor.map(MapOptions{.chunksize = 0}, same, numbers),
                    "chunksize must be >= 1.");
  CHECK_THROWS_AS(executor.map(MapOptions{.buffersize = 0}, same, numbers), std::invalid_argument);
  CHECK_THROWS_WITH(executor.map(MapOptions{.buffersize = 0}, same, numbers),
                    "buffersize must be None or > 0");
}

TEMPLATE_TEST_CASE("map after shutdown is an error", "", ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  executor.shutdown();
  CHECK_THROWS_AS(executor.map([](int value) { return value; }, first_numbers(3)), ShutdownError);
}

TEMPLATE_TEST_CASE("map with a buffer reads no further ahead than it allows", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  int reads = 0;
  {
    auto results = executor.map(
        MapOptions{.buffersize = 3}, [](int value) { return value; }, Endless(reads));
    CHECK(reads == 3);
    int taken = 0;
    for (const int& value : results) {
      REQUIRE(value == taken);
      REQUIRE(reads == taken + 3);
      if (++taken == 500) break;
    }
  }
  CHECK(reads == 502);
}

TEMPLATE_TEST_CASE("a buffer counts tasks, whatever the size of their chunks", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType executor = make_executor<TestType>();
  int reads = 0;
  auto results = executor.map(
      MapOptions{.chunksize = 4, .buffersize = 2}, [](int value) { return value; }, Endless(reads));
  CHECK(reads == 8);
  auto at = results.begin();
  for (int i = 0; i < 3; ++i) ++at;
  CHECK(reads == 8);
  ++at;  // the first chunk is used up
  CHECK(reads == 12);
  CHECK(*at == 4);
}

TEMPLATE_TEST_CASE("a buffered map keeps a range that it was given to keep", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  auto results = executor.map(
      MapOptions{.buffersize = 1}, [](const std::string& word) { return word.size(); },
      std::vector<std::string>{"a", "bb", std::string(100, 'c')});
  CHECK(std::move(results).to_vector() == std::vector<std::size_t>{1, 2, 100});
}

TEMPLATE_TEST_CASE("a buffered map reads a range that it was lent", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType executor = make_executor<TestType>();
  std::vector<int> numbers{1, 2, 3};
  auto results = executor.map(
      MapOptions{.buffersize = 1}, [](int value) { return value; }, numbers);
  numbers[2] = 30;
  CHECK(std::move(results).to_vector() == std::vector<int>{1, 2, 30});
}

TEST_CASE("map submits everything before the first element is asked for") {
  ThreadPoolExecutor pool(2);
  std::atomic<int> calls{0};
  const auto results = pool.map([&calls](int) { ++calls; }, first_numbers(100));
  pool.shutdown();
  CHECK(calls == 100);
}

TEST_CASE("map's elements and callable are copied, so they may go before the results are taken") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  auto words = std::make_unique<std::vector<std::string>>(3, std::string(50, 'x'));
  auto results = pool.map(
      [suffix = std::string(50, 'y')](const std::string& word) { return word + suffix; }, *words);
  words.reset();
  occupied.release();
  CHECK(std::move(results).to_vector() ==
        std::vector<std::string>(3, std::string(50, 'x') + std::string(50, 'y')));
}

TEST_CASE("a map that was begun and dropped cancels what has not started") {
  ThreadPoolExecutor pool(1);
  std::atomic<int> calls{0};
  const std::size_t chunksize = GENERATE(1U, 3U);
  {
    support::Gate gate;
    auto results = pool.map(
        MapOptions{.chunksize = chunksize},
        [&calls, at_gate = gate.waiter()](int value) {
          ++calls;
          if (value >= static_cast<int>(3)) at_gate();
          return value;
        },
        first_numbers(30));
    CHECK(*results.begin() == 0);
    // The worker is at the gate in the task of element 3, or on its way there; it goes on only
    // after the results were dropped.
    { auto dropped = std::move(results); }
    gate.open();
  }
  pool.shutdown();
  CHECK(calls >= static_cast<int>(chunksize));
  CHECK(calls <= 6);
}

TEST_CASE("a map that was never begun and is dropped cancels nothing") {
  ThreadPoolExecutor pool(1);
  std::atomic<int> calls{0};
  {
    const support::Occupied occupied(pool);
    const auto results = pool.map([&calls](int) { ++calls; }, first_numbers(30));
  }
  pool.shutdown();
  CHECK(calls == 30);
}

TEST_CASE("an exception that ends the loop over map's results cancels the rest") {
  ThreadPoolExecutor pool(1);
  std::atomic<int> calls{0};
  support::Gate gate;
  {
    auto results = pool.map(
        [&calls, at_gate = gate.waiter()](int value) {
          ++calls;
          if (value == 0) throw std::runtime_error("first");
          at_gate();
        },
        first_numbers(100));
    CHECK_THROWS_WITH(std::move(results).wait(), "first");
  }
  gate.open();
  pool.shutdown();
  CHECK(calls <= 2);
}

TEST_CASE("map keeps no result that it has yielded") {
  ThreadPoolExecutor pool(1);
  const std::size_t chunksize = GENERATE(1U, 2U);
  std::vector<std::weak_ptr<int>> watches(4);
  auto results = pool.map(
      MapOptions{.chunksize = chunksize},
      [&watches](int i) {
        auto token = std::make_shared<int>(i);
        watches[static_cast<std::size_t>(i)] = token;
        return token;
      },
      first_numbers(4));
  pool.wait_idle();  // a worker holds a task until just after its result is visible
  auto at = results.begin();
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(**at == static_cast<int>(i));
    ++at;
    // All of a chunk is dropped when the next one is reached.
    if ((i + 1) % chunksize == 0) CHECK(watches[i].expired());
  }
}

TEST_CASE("map throws TimeoutError for an element that is not there in time") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  auto results = pool.map(
      MapOptions{.timeout = 0s}, [](int value) { return value; }, first_numbers(3));
  CHECK_THROWS_AS(*results.begin(), TimeoutError);
}

TEST_CASE("the timeout of map counts from the call") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  const auto begin = std::chrono::steady_clock::now();
  auto results = pool.map(
      MapOptions{.timeout = 300ms}, [](int value) { return value; }, first_numbers(3));
  while (std::chrono::steady_clock::now() < begin + 301ms) std::this_thread::yield();
  const auto asked = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(*results.begin(), TimeoutError);
  CHECK(std::chrono::steady_clock::now() - asked < 250ms);
}

TEST_CASE("an element of map that is done is given although the time is over") {
  InlineExecutor executor;
  CHECK(executor
            .map(
                MapOptions{.timeout = -1s}, [](int value) { return value; }, first_numbers(3))
            .to_vector() == first_numbers(3));
}

TEST_CASE("a buffered map whose executor is gone says so when it would submit more") {
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  auto results = pool->map(
      MapOptions{.buffersize = 2}, [](int value) { return value; }, first_numbers(5));
  pool.reset();
  auto at = results.begin();
  CHECK(*at == 0);
  CHECK_THROWS_AS(++at, ShutdownError);
}

TEST_CASE("a buffered map over a view that is exhausted does without its executor") {
  const std::vector<int> numbers = first_numbers(3);
  auto pool = std::make_unique<ThreadPoolExecutor>(1);
  auto results = pool->map(
      MapOptions{.buffersize = 3}, [](int value) { return value; }, std::span(numbers));
  pool.reset();
  std::vector<int> found;
  for (const int value : results) found.push_back(value);
  CHECK(found == numbers);
}

TEST_CASE("results of a map outlive its executor") {
  std::optional<MapResult<int>> results;
  {
    ThreadPoolExecutor pool(2);
    results.emplace(pool.map([](int value) { return value; }, first_numbers(50)));
  }
  CHECK(std::move(*results).to_vector() == first_numbers(50));
}

TEST_CASE("a range that throws while map reads it throws out of map") {
  ThreadPoolExecutor pool(1);
  const auto numbers = std::views::iota(0, 10) | std::views::transform(throw_on_odd);
  CHECK_THROWS_WITH(pool.map([](int value) { return value; }, numbers), "odd: 1");
}

TEST_CASE("map over more elements than it makes tasks gives them all") {
  ThreadPoolExecutor pool(2);
  const std::vector<int> numbers = first_numbers(20'000);
  CHECK(pool.map([](int value) { return value; }, numbers).to_vector() == numbers);
}

namespace {

/// Runs tasks at once, and counts them.
class CountingExecutor : public ExecutorInterface<CountingExecutor> {
 public:
  template <class F, class... Args>
  auto submit(F&& fn, Args&&... args) {
    ++tasks;
    return executor_.submit(std::forward<F>(fn), std::forward<Args>(args)...);
  }

  int tasks = 0;

 private:
  InlineExecutor executor_;
};

}  // namespace

TEST_CASE("the chunks of a long map begin as well aligned as the whole") {
  constexpr int in_a_line = 64;  // of the smallest elements
  CountingExecutor executor;
  std::vector<int> first_of_task;
  int task = 0;
  const auto note = [&](int element) {
    if (std::exchange(task, executor.tasks) != task) first_of_task.push_back(element);
    return element;
  };
  const std::vector<int> numbers = first_numbers(1'000'003);
  executor.map(note, std::span(numbers)).wait();
  CHECK(first_of_task.size() > 900);
  CHECK(std::all_of(first_of_task.begin(), first_of_task.end(),
                    [](int first) { return first % in_a_line == 0; }));
}

namespace {

int odd_only(int x) {
  if (x % 2 == 0) throw std::runtime_error("even: " + std::to_string(x));
  return x;
}

/// The results with -1 for those that threw; taken as `take` says.
template <class Pool, class Range>
std::vector<int> outcomes(Pool& pool, MapOptions options, Range range) {
  auto results = pool.map(options, odd_only, range);
  std::vector<int> found;
  for (auto at = results.begin(); at != results.end(); ++at) {
    try {
      found.push_back(*at);
      CHECK(*at == found.back());  // again
    } catch (const std::runtime_error&) {
      CHECK_THROWS_AS(*at, std::runtime_error);  // again
      found.push_back(-1);
    }
  }
  return found;
}

}  // namespace

TEMPLATE_TEST_CASE("exceptions in a chunk stay in their places among the values", "",
                   ThreadPoolExecutor, InlineExecutor) {
  TestType pool;
  for (const int count : {0, 1, 2, 3, 7, 30, 5000}) {
    std::vector<int> expected = first_numbers(count);
    for (int& x : expected) x = x % 2 == 0 ? -1 : x;
    for (const std::size_t chunk : {1U, 2U, 3U, 30U, 4096U}) {
      const std::vector<int> values = first_numbers(count);
      CHECK(outcomes(pool, {.chunksize = chunk}, std::span(values)) == expected);
      CHECK(outcomes(pool, {.chunksize = chunk}, values) == expected);
      CHECK(outcomes(pool, {.chunksize = chunk, .buffersize = 2}, values) == expected);
    }
  }
}

TEST_CASE("elements of a chunk can be left without a look, failed ones too") {
  ThreadPoolExecutor pool(2);
  const std::vector<int> values = first_numbers(100);
  auto results = pool.map({.chunksize = 9}, odd_only, values);
  int place = 0;
  for (auto at = results.begin(); at != results.end(); ++at, ++place) {
    if (place % 5 == 3 && place % 2 == 1) {
      CHECK(*at == place);
    }
  }
  CHECK(place == 100);
}

TEST_CASE("a thread pool reads a long view where it lies") {
  ThreadPoolExecutor pool(1);
  std::vector<int> values = first_numbers(5000);
  support::Occupied occupied(pool);
  auto of_view = pool.map(std::negate<>(), std::span(values));
  auto of_container = pool.map(std::negate<>(), values);
  values.back() = 7;
  occupied.release();
  CHECK(std::move(of_view).to_vector().back() == -7);
  CHECK(std::move(of_container).to_vector().back() == -4999);
}

TEST_CASE("a result range over a view is gone only when nobody reads the view any more") {
  ThreadPoolExecutor pool(2);
  std::atomic<int> running{0};
  const auto count = [&running](int x) {
    ++running;
    std::this_thread::yield();
    --running;
    return x;
  };
  for (int round = 0; round < 20; ++round) {
    const std::vector<int> values = first_numbers(5000);
    const bool begin = round % 2 == 0;
    try {
      auto results = pool.map(count, std::span(values));
      if (begin) {
        for (const int x : results) {
          if (x == 100) throw std::runtime_error("enough");
        }
      }
    } catch (const std::runtime_error&) {
    }
    REQUIRE(running == 0);
  }
}

TEST_CASE("map takes views of endless and of uneven length in chunks") {
  ThreadPoolExecutor pool(2);
  const std::vector<int> values = first_numbers(5000);
  const auto sums =
      pool.map(std::plus<>(), std::span(values), std::views::iota(0, 6000)).to_vector();
  REQUIRE(sums.size() == 5000);
  CHECK(sums.back() == 2 * 4999);
  const auto chunks =
      pool.map({.chunksize = 7}, std::plus<>(), std::views::iota(0), std::span(values)).to_vector();
  CHECK(chunks == sums);
}

TEMPLATE_TEST_CASE("move_to puts all results where they are wanted", "", ThreadPoolExecutor,
                   InlineExecutor) {
  TestType pool;
  for (const int count : {0, 1, 100, 5000, 20'000}) {
    const std::vector<int> values = first_numbers(count);
    std::vector<int> expected = values;
    for (int& x : expected) x = -x;
    std::vector<int> out(values.size() + 1, 77);
    pool.map(std::negate<>(), std::span(values)).move_to(out);
    CHECK(out.back() == 77);
    out.pop_back();
    CHECK(out == expected);
    std::deque<long> elsewhere(values.size());
    pool.map(std::negate<>(), values).move_to(elsewhere);
    CHECK(std::equal(elsewhere.begin(), elsewhere.end(), expected.begin(), expected.end()));
  }
}

TEST_CASE("to_vector has all results of a view") {
  const std::vector<int> values = first_numbers(GENERATE(0, 1, 4096, 4097, 20'000));
  std::vector<int> expected = values;
  for (int& x : expected) x = -x;
  ThreadPoolExecutor pool(2);
  auto ran_before = pool.map(std::negate<>(), std::span(values));
  pool.wait_idle();
  CHECK(std::move(ran_before).to_vector() == expected);
  CHECK(pool.map(std::negate<>(), std::span(values)).to_vector() == expected);
  CHECK(pool.map({.timeout = 1h}, std::negate<>(), std::span(values)).to_vector() == expected);
  auto begun = pool.map(std::negate<>(), std::span(values));
  if (!values.empty()) {
    auto at = begun.begin();
    CHECK(*at == 0);
    expected.erase(expected.begin());
    ++at;
  }
  CHECK(std::move(begun).to_vector() == expected);
}

TEST_CASE("to_vector has the results of a view that were there before and those that come") {
  const std::vector<int> values = first_numbers(5000);
  ThreadPoolExecutor pool(1);
  std::promise<void> half;
  support::Gate gate;
  const auto negate = [&, at_gate = gate.waiter()](int x) {
    if (x == 2500) {
      half.set_value();
      at_gate();
    }
    return -x;
  };
  auto results = pool.map(negate, std::span(values));
  half.get_future().wait();
  std::thread opener([&] { gate.open(); });
  const std::vector<int> found = std::move(results).to_vector();
  opener.join();
  std::vector<int> expected = values;
  for (int& x : expected) x = -x;
  CHECK(found == expected);
}

TEST_CASE("to_vector of a view throws the first exception, when nobody writes any more") {
  for (int round = 0; round < 20; ++round) {
    ThreadPoolExecutor pool(2);
    const std::vector<int> values = first_numbers(50'000);
    std::atomic<int> running{0};
    const auto odd = [&running](int x) {
      ++running;
      std::this_thread::yield();
      --running;
      if (x == 3'001) throw std::runtime_error("first");
      if (x > 3'001 && x % 1'000 == 0) throw std::runtime_error("later");
      return x;
    };
    CHECK_THROWS_WITH(pool.map(odd, std::span(values)).to_vector(), "first");
    REQUIRE(running == 0);
  }
}

TEST_CASE("map gives results that cannot be assigned") {
  struct Fixed {
    const int value;
  };
  const std::vector<int> values = first_numbers(5000);
  ThreadPoolExecutor pool(2);
  const auto fixed = [](int x) { return Fixed{x}; };
  int next = 0;
  for (const Fixed& result : pool.map(fixed, std::span(values))) next += result.value == next;
  CHECK(next == 5000);
  CHECK(pool.map(fixed, std::span(values)).to_vector().back().value == 4999);
}

TEST_CASE("move_to moves what can only be moved") {
  ThreadPoolExecutor pool(2);
  std::vector<std::unique_ptr<int>> out(10);
  pool.map([](int x) { return std::make_unique<int>(x); }, first_numbers(10)).move_to(out);
  CHECK(*out.back() == 9);
}

TEST_CASE("move_to refuses an output that is too short, and writes nothing") {
  ThreadPoolExecutor pool(2);
  const std::vector<int> values = first_numbers(5000);
  std::vector<int> out(4999, 77);
  CHECK_THROWS_WITH(pool.map(std::negate<>(), std::span(values)).move_to(out),
                    "move_to: the output has room for 4999 of 5000 results");
  CHECK(out == std::vector<int>(4999, 77));
}

TEST_CASE("move_to throws the first exception, and nobody writes any more when it has") {
  for (int round = 0; round < 20; ++round) {
    ThreadPoolExecutor pool(2);
    const std::vector<int> values = first_numbers(50'000);
    std::vector<int> out(values.size(), 77);
    const auto seven = [](int x) {
      if (x == 7) throw std::runtime_error("seven");
      return x;
    };
    CHECK_THROWS_WITH(pool.map(seven, std::span(values)).move_to(out), "seven");
    const std::vector<int> then = out;
    pool.shutdown();
    CHECK(out == then);
  }
}
