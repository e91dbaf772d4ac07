// SPDX-License-Identifier: MIT

// Arrays in shared memory as arguments and results of tasks in other processes.

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/multiprocessing/shared_array.hpp>
#include <cstddef>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace concurrent::futures;
using namespace process_test;
using namespace std::chrono_literals;
using concurrent::multiprocessing::SharedArray;
using support::matchers::contains;

namespace {

std::vector<int> counted(std::size_t size) {
  std::vector<int> values(size);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

long sum_of(SharedArray<int> values) { return std::accumulate(values.begin(), values.end(), 0L); }
/// Breaks the pool of a task that takes it.
struct ThrowsWhenRead {
  template <class Archive>
  void save(Archive& archive) const {
    archive(1);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::runtime_error("cannot be read");
  }
};

SharedArray<int> same(SharedArray<int> values) { return values; }
void fill(SharedArray<int> values, int with) {
  for (int& value : values) value = with;
}

}  // namespace

TEST_CASE("a new shared array is all zeros, also where an old one was") {
  for (const int round : {0, 1, 2}) {
    CAPTURE(round);
    SharedArray<int> values(300'000);
    CHECK(std::count(values.begin(), values.end(), 0) == 300'000);
    std::fill(values.begin(), values.end(), 7);
  }
}

TEST_CASE("copies of a shared array are the same elements") {
  const SharedArray<int> first(std::span<const int>(counted(10)));
  const SharedArray<int> second = first;  // NOLINT(performance-unnecessary-copy-initialization)
  second[3] = 99;
  CHECK(first.at(3) == 99);
  CHECK(first.data() == second.data());
  CHECK(first.size() == 10);
}

TEST_CASE("an index beyond a shared array is an error that names both") {
  const SharedArray<int> values(3);
  CHECK_THROWS_AS(values.at(3), std::out_of_range);
  CHECK_THROWS_WITH(values.at(7), "index 7 of a SharedArray of 3");
  CHECK_THROWS_AS(SharedArray<int>().at(0), std::out_of_range);
}

TEST_CASE("an empty shared array, and one that no memory can hold") {
  CHECK(SharedArray<double>().empty());
  CHECK(SharedArray<double>(0).data() == nullptr);
  CHECK_THROWS_AS(SharedArray<double>(std::size_t{1} << 62U), std::length_error);
  CHECK_THROWS_AS(SharedArray<double>(std::size_t{1} << 50U), std::bad_alloc);
}

TEST_CASE("a task sees what was written before submit, and its future shows what it has written") {
  ProcessPoolExecutor executor({.max_workers = 2});
  SharedArray<int> values(100'000);  // made after the pool
  for (int round = 1; round <= 20; ++round) {
    std::fill(values.begin(), values.end(), round);
    REQUIRE(executor.submit(sum_of, values).result(60s) == 100'000L * round);
    executor.submit(fill, values, -round).result(60s);
    REQUIRE(sum_of(values) == -100'000L * round);
  }
}

TEST_CASE("a task may return the array that it was given") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const SharedArray<int> values{std::span<const int>(counted(1000))};
  const auto back = executor.submit(same, values);
  CHECK(back.result(60s).data() == values.data());
  CHECK(back.result().size() == 1000);
  CHECK(executor.submit(same, SharedArray<int>()).result(60s).empty());
}

TEST_CASE("an array lives as long as a task has it") {
  ProcessPoolExecutor executor({.max_workers = 1});
  std::vector<Future<long>> sums;
  std::vector<Future<SharedArray<int>>> returned;
  for (int i = 0; i < 200; ++i) {  // each handle goes at once; memory that goes is used again
    sums.push_back(executor.submit(sum_of, SharedArray<int>(std::span<const int>(counted(1000)))));
    returned.push_back(
        executor.submit(same, SharedArray<int>(std::span<const int>(counted(1000)))));
  }
  for (const auto& sum : sums) CHECK(sum.result(60s) == 500'500);
  for (const auto& array : returned) CHECK(sum_of(array.result(60s)) == 500'500);
}

TEST_CASE("tasks that have parts of one array work side by side") {
  ProcessPoolExecutor executor({.max_workers = 2});
  SharedArray<std::size_t> squares(10'000);
  std::vector<Future<void>> parts;
  for (std::size_t begin = 0; begin < squares.size(); begin += 100) {
    parts.push_back(executor.submit(
        [](SharedArray<std::size_t> all, std::size_t from) {
          for (std::size_t i = from; i < from + 100; ++i) all[i] = i * i;
        },
        squares, begin));
  }
  for (const auto& part : parts) part.result(60s);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < squares.size(); ++i) wrong += squares[i] == i * i ? 0U : 1U;
  CHECK(wrong == 0);
}

TEST_CASE("processes count in one array with std::atomic_ref") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const SharedArray<long> count(1);
  std::vector<Future<void>> adders;
  for (int i = 0; i < 50; ++i) {
    adders.push_back(executor.submit(
        [](SharedArray<long> total) {
          for (int k = 0; k < 1000; ++k) {
            __atomic_fetch_add(total.data(), 1, __ATOMIC_RELAXED);  // libc++ 16 has no atomic_ref
          }
        },
        count));
  }
  for (const auto& adder : adders) adder.result(60s);
  CHECK(count[0] == 50'000);
}

TEST_CASE("arrays cross inside of other values, in futures and through map") {
  ProcessPoolExecutor executor({.max_workers = 2});
  std::vector<SharedArray<int>> arrays;
  for (int i = 0; i < 10; ++i) arrays.emplace_back(std::span<const int>(counted(10)));
  const auto total = executor.submit(
      [](std::vector<SharedArray<int>> all) {
        long sum = 0;
        for (const auto& each : all) sum += sum_of(each);
        return sum;
      },
      arrays);
  CHECK(total.result(60s) == 550);
  const auto first = executor.submit(same, arrays[0]);
  CHECK(executor.submit(sum_of, first).result(60s) == 55);
  long sum = 0;
  for (const long each : executor.map(sum_of, arrays)) sum += each;
  CHECK(sum == 550);
}

TEST_CASE("an array crosses with a large value, and to a task that is run again") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1, .on_worker_death = OnWorkerDeath::restart});
  const auto total = executor.submit(
      TaskOptions{.max_retries = 1},
      [](SharedArray<int> values, const std::string& text) {
        if (board()->flag.at(0)++ == 0) ::kill(::getpid(), SIGKILL);
        return sum_of(values) + static_cast<long>(text.size());
      },
      SharedArray<int>(std::span<const int>(counted(1000))), std::string(100'000, 'x'));
  CHECK(total.result(60s) == 600'500);
}

TEST_CASE("memory of an array is not given to others while a killed worker may still write there") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  const int* before = nullptr;
  Future<void> writer;
  {
    const SharedArray<int> array(1000);
    before = array.data();
    writer = executor.submit(
        [](SharedArray<int> values) {
          board()->flag.at(0) = 1;
          for (std::size_t i = 0;; ++i) values[i % values.size()] = 1;
        },
        array);
  }
  sleep_until_flag(0);
  executor.submit([] {}).result(60s);  // now there are two workers
  const std::vector<pid_t> servers = children();
  REQUIRE(servers.size() == 1);
  ::kill(servers[0], SIGSTOP);  // which cannot say that the worker has ended
  const auto breaks = executor.submit([](ThrowsWhenRead) {}, ThrowsWhenRead());
  CHECK(fails_with<BrokenProcessPool>(breaks));
  CHECK(fails_with<BrokenProcessPool>(writer));
  const SharedArray<int> fresh(1000);
  // The same memory only once the worker has ended: then nobody writes there any more.
  const bool again = fresh.data() == before;
  CHECK_FALSE(within(100ms, [&fresh] { return sum_of(fresh) != 0; }));
  ::kill(servers[0], SIGCONT);
  INFO((again ? "the same memory" : "other memory"));
  CHECK(sum_of(fresh) == 0);
}

TEST_CASE("a pool whose workers share no memory takes no array, and stays usable") {
  ProcessPoolExecutor executor({.max_workers = 1, .sandbox = true});
  const auto refused = executor.submit(sum_of, SharedArray<int>(10));
  CHECK(fails_with<std::logic_error>(refused));
  CHECK_THAT(failure_of(refused), contains("its workers share no memory"));
  CHECK(executor.submit([](int x) { return x; }, 3).result(60s) == 3);
}

TEST_CASE("a task cannot make a shared array, and is told what to do instead") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto refused = executor.submit([] { return SharedArray<int>(10).size(); });
  CHECK_THAT(failure_of(refused), contains("make it where the pool was made"));
}

TEST_CASE("an array passes on to a pool that a task makes") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const SharedArray<int> values{std::span<const int>(counted(1000))};
  const auto sum = executor.submit(
      [](SharedArray<int> given) {
        ProcessPoolExecutor inner({.max_workers = 1});
        inner.submit(fill, given, 2).result(60s);
        return inner.submit(sum_of, given).result(60s);
      },
      values);
  CHECK(sum.result(60s) == 2000);
  CHECK(values[999] == 2);
}
