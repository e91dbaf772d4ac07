// SPDX-License-Identifier: MIT

// The seam between the program and the executors.

#include "image_processing/executors.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "support/catch.hpp"

using image_processing::ExecutorKind;
using image_processing::run_all;
using support::matchers::contains;

namespace {

std::atomic<std::size_t> started = 0;

int count_and_double(int value) {
  started.fetch_add(1, std::memory_order_relaxed);  // only the number matters
  return 2 * value;
}

int die_at_three(int value) {
  if (value == 3) ::_exit(7);
  return value;
}

std::vector<int> numbers(int count) {
  std::vector<int> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), 0);
  return list;
}

}  // namespace

TEST_CASE("image executors: every executor gives all results in order") {
  const ExecutorKind kind =
      GENERATE(ExecutorKind::sequential, ExecutorKind::thread, ExecutorKind::process);
  std::vector<int> results;
  std::size_t failures = 0;
  run_all(
      {kind, 2}, count_and_double, numbers(100),
      [&](int, int result) { results.push_back(result); },
      [&](int, const std::string&) { ++failures; });
  REQUIRE(results.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(results[static_cast<std::size_t>(i)] == 2 * i);
  CHECK(failures == 0);
}

TEST_CASE("image executors: no more than four tasks a worker are under way") {
  started = 0;
  std::size_t taken = 0, furthest = 0;
  run_all(
      {ExecutorKind::thread, 2}, count_and_double, numbers(1000),
      [&](int, int) {
        furthest = std::max(furthest, started.load(std::memory_order_relaxed) - taken);
        ++taken;
      },
      [](int, const std::string&) {});
  CHECK(taken == 1000);
  CHECK(furthest <= 8);
}

TEST_CASE("image executors: a worker that dies costs no more than what it was at") {
  const bool sandbox = GENERATE(false, true);
  std::vector<int> done, lost;
  std::string reason;
  run_all(
      {ExecutorKind::process, 1, sandbox}, die_at_three, numbers(50),
      [&](int item, int) { done.push_back(item); },
      [&](int item, const std::string& why) {
        lost.push_back(item);
        reason = why;
      });
  CHECK(done.size() == 49);
  CHECK(lost == std::vector<int>{3});
  CHECK_THAT(reason, contains("exited with status 7"));
}

TEST_CASE("image executors: what is prepared is prepared in the program, when its turn comes") {
  const ExecutorKind kind =
      GENERATE(ExecutorKind::sequential, ExecutorKind::thread, ExecutorKind::process);
  std::size_t prepared = 0, taken = 0, furthest = 0;
  run_all(
      {kind, 2}, count_and_double, numbers(100),
      [&](int item, int result) {
        CHECK(result == 2 * (item + 1000));
        furthest = std::max(furthest, prepared - taken++);
      },
      [](int, const std::string&) {},
      [&](int item) {
        ++prepared;
        return item + 1000;
      });
  CHECK(taken == 100);
  CHECK(prepared == 100);
  CHECK(furthest <= 9);
}
