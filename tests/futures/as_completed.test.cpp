// SPDX-License-Identifier: MIT

// as_completed().

#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "futures_support.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;
using namespace futures_test;
using namespace std::chrono_literals;

namespace {

using Futures = std::vector<Future<int>>;

/// Everything that a range yields.
template <class Range>
Futures all_of(Range range) {
  Futures yielded;
  for (const Future<int>& future : range) yielded.push_back(future);
  return yielded;
}

}  // namespace

TEST_CASE("as_completed gives futures in the order of their completion") {
  Futures all(4);
  auto range = as_completed(all);
  for (const std::size_t i : {2U, 0U, 3U, 1U}) all[i].set_result(static_cast<int>(i));
  CHECK(all_of(std::move(range)) == Futures{all[2], all[0], all[3], all[1]});
}

TEST_CASE("as_completed gives those first that are done already, in the order given") {
  Futures all{Future<int>(), succeeded(1), Future<int>(), succeeded(3)};
  auto range = as_completed(all);
  all[2].set_result(2);
  all[0].set_result(0);
  CHECK(all_of(std::move(range)) == Futures{all[1], all[3], all[2], all[0]});
}

TEST_CASE("as_completed gives a future while others are still pending") {
  Futures all(2);
  auto range = as_completed(all);
  all[1].set_result(1);
  auto at = range.begin();
  CHECK(*at == all[1]);
  all[0].set_result(0);
  ++at;
  CHECK(*at == all[0]);
  ++at;
  CHECK(at == range.end());
}

TEST_CASE("as_completed gives duplicates once") {
  const Future<int> one = succeeded(1);
  const Future<int> two = succeeded(2);
  CHECK(all_of(as_completed(std::vector{one, two, one, one, two})) == Futures{one, two});
}

TEST_CASE("as_completed of nothing is empty") {
  CHECK(all_of(as_completed(Futures())).empty());
  CHECK(all_of(as_completed(Futures(), 0s)).empty());
}

TEST_CASE("as_completed gives failed and cancelled futures too") {
  Futures all(2);
  all[0].cancel();
  all[1].set_exception(std::make_exception_ptr(std::runtime_error("failed")));
  CHECK(all_of(as_completed(all)) == all);
}

TEST_CASE("as_completed says how many of how many are unfinished") {
  const Futures all{succeeded(0), Future<int>(), succeeded(2), Future<int>()};
  auto range = as_completed(all, 0s);
  auto at = range.begin();
  ++at;
  CHECK_THROWS_WITH(++at, "2 (of 4) futures unfinished");
}

TEST_CASE("as_completed counts duplicates once when it says how many are unfinished") {
  const Future<int> pending;
  auto range = as_completed(std::vector{pending, pending, succeeded(1)}, 0s);
  auto at = range.begin();
  CHECK_THROWS_WITH(++at, "1 (of 2) futures unfinished");
}

TEST_CASE("as_completed with a timeout of zero gives what is done before it throws") {
  const Futures all{succeeded(0), Future<int>(), succeeded(2)};
  auto range = as_completed(all, 0s);
  std::size_t given = 0;
  try {
    for (const Future<int>& future : range) {
      CHECK(future.done());
      ++given;
    }
    FAIL("the range ended although a future is pending");
  } catch (const TimeoutError&) {
  }
  CHECK(given == 2);
}

TEST_CASE("the timeout of as_completed counts from the call") {
  const auto begin = std::chrono::steady_clock::now();
  auto range = as_completed(Futures(1), 300ms);
  while (std::chrono::steady_clock::now() < begin + 301ms) std::this_thread::yield();
  const auto asked = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(range.begin(), TimeoutError);
  CHECK(std::chrono::steady_clock::now() - asked < 250ms);
}

TEST_CASE("as_completed does not throw before its time") {
  const auto begin = std::chrono::steady_clock::now();
  auto range = as_completed(Futures(1), 30ms);
  CHECK_THROWS_AS(range.begin(), TimeoutError);
  CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
}

TEST_CASE("as_completed can go on after a timeout when the future is done in the end") {
  Futures all(1);
  auto range = as_completed(all, 0s);
  CHECK_THROWS_AS(range.begin(), TimeoutError);
  all[0].set_result(1);
  CHECK_NOTHROW(++AsCompleted<int>::Iterator(range));
  CHECK(*AsCompleted<int>::Iterator(range) == all[0]);
}

TEST_CASE("a future that was cancelled while its task is queued is done for as_completed") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  Future<int> queued = pool.submit([] { return 1; });
  REQUIRE(queued.cancel());
  CHECK(all_of(as_completed(std::vector{queued})) == Futures{queued});
}

TEST_CASE("as_completed keeps nothing that it has yielded") {
  std::vector<std::weak_ptr<int>> watches;
  std::vector<Future<std::shared_ptr<int>>> all;
  for (int i = 0; i < 3; ++i) {
    auto token = std::make_shared<int>(i);
    watches.emplace_back(token);
    all.emplace_back().set_result(std::move(token));
  }
  auto range = as_completed(all);
  all.clear();
  auto at = range.begin();
  for (const auto& watch : watches) {
    CHECK_FALSE(watch.expired());
    ++at;
    CHECK(watch.expired());
  }
}

TEST_CASE("an as_completed that is dropped half-way leaves the rest as it is") {
  Futures all(3);
  {
    auto range = as_completed(all);
    all[1].set_result(1);
    CHECK(*range.begin() == all[1]);
  }
  CHECK_FALSE(all[0].done());
  all[0].set_result(0);
  all[2].cancel();
  CHECK(all[0].result() == 0);
}

TEST_CASE("an as_completed range can be moved") {
  Futures all(2);
  auto range = as_completed(all);
  all[0].set_result(0);
  REQUIRE(*range.begin() == all[0]);
  auto moved = std::move(range);
  CHECK(*moved.begin() == all[0]);
  all[1].set_result(1);
  auto at = moved.begin();
  CHECK(*++at == all[1]);
}

TEST_CASE("as_completed gives all of many tasks once each") {
  ThreadPoolExecutor pool(4);
  Futures all;
  for (int i = 0; i < 2000; ++i) all.push_back(pool.submit([i] { return i; }));
  std::vector<bool> seen(all.size());
  std::size_t given = 0;
  for (const Future<int>& future : as_completed(all)) {
    seen[static_cast<std::size_t>(future.result())] = true;
    ++given;
  }
  CHECK(given == all.size());
  CHECK(seen == std::vector<bool>(all.size(), true));
}

TEST_CASE("dropping as_completed races with the completions") {
  for (std::size_t round = 0; round < support::scaled(2000); ++round) {
    Futures all(4);
    std::jthread completer([all]() mutable {
      for (Future<int>& future : all) future.set_result(1);
    });
    auto range = as_completed(all);
    if (round % 2 == 0) REQUIRE((*range.begin()).done());
  }
  SUCCEED();
}

TEST_CASE("several as_completed may run over the same futures at once") {
  Futures all(50);
  std::atomic<int> complete{0};
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&complete, all] {
        if (all_of(as_completed(all)).size() == all.size()) ++complete;
      });
    }
    for (Future<int>& future : all) future.set_result(0);
  }
  CHECK(complete == 3);
}
