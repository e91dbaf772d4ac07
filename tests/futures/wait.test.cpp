// SPDX-License-Identifier: MIT

// wait(): futures of all kinds, without and with a pool.

#include <array>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <list>
#include <memory>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "futures_support.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;
using namespace futures_test;
using namespace std::chrono_literals;

namespace {

Future<int> failed() {
  Future<int> future;
  future.set_exception(std::make_exception_ptr(std::runtime_error("failed")));
  return future;
}

Future<int> cancelled() {
  Future<int> future;
  future.cancel();
  return future;
}

using Futures = std::vector<Future<int>>;

}  // namespace

TEST_CASE("wait gives done and not done futures in the order given") {
  const Futures all{succeeded(0), Future<int>(), failed(), Future<int>(), cancelled()};
  const auto [done, not_done] = wait(all, {.timeout = 0s});
  CHECK(done == Futures{all[0], all[2], all[4]});
  CHECK(not_done == Futures{all[1], all[3]});
}

TEST_CASE("wait counts duplicates once") {
  const Future<int> one = succeeded(1);
  const Future<int> other;
  const auto [done, not_done] = wait(std::vector{other, one, one, other, one}, {.timeout = 0s});
  CHECK(done == Futures{one});
  CHECK(not_done == Futures{other});
}

TEST_CASE("wait finds duplicates among many futures in any order") {
  Futures all;
  for (int i = 0; i < 500; ++i) all.push_back(succeeded(i));
  Futures shuffled;
  for (std::size_t i = 0; i < 1500; ++i) shuffled.push_back(all[i * 7 % 500]);
  CHECK(wait(shuffled).done.size() == 500);
}

TEST_CASE("wait for nothing returns at once") {
  const auto [done, not_done] = wait(Futures());
  CHECK(done.empty());
  CHECK(not_done.empty());
  CHECK(wait(Futures(), {.return_when = FIRST_COMPLETED}).done.empty());
  CHECK(wait(Futures(), {.return_when = FIRST_EXCEPTION}).done.empty());
}

TEST_CASE("wait takes any range of futures") {
  const Future<int> one = succeeded(1);
  const std::list<Future<int>> list{one};
  std::array<Future<int>, 1> array{one};
  CHECK(wait(list).done == Futures{one});
  CHECK(wait(array).done == Futures{one});
  CHECK(wait(std::span(array)).done == Futures{one});
  CHECK(wait(std::initializer_list<Future<int>>{one}).done == Futures{one});
  const Future<int> c_array[] = {one};
  CHECK(wait(c_array).done == Futures{one});
}

TEST_CASE("wait returns when all are done and throws nothing that they threw") {
  Futures all{Future<int>(), Future<int>(), Future<int>()};
  std::jthread completer([all]() mutable {
    all[2].set_result(1);
    all[1].set_exception(std::make_exception_ptr(std::runtime_error("failed")));
    all[0].cancel();
  });
  const auto [done, not_done] = wait(all);
  CHECK(done == all);
  CHECK(not_done.empty());
}

TEST_CASE("wait with a timeout returns without throwing and leaves the futures as they are") {
  Futures all{succeeded(1), Future<int>()};
  const auto [done, not_done] = wait(all, {.timeout = 1ms});
  CHECK(done.size() == 1);
  REQUIRE(not_done == Futures{all[1]});
  all[1].set_result(2);
  CHECK(all[1].result() == 2);
}

TEST_CASE("wait does not sleep through its timeout when all are done") {
  const auto [done, not_done] = wait(Futures{succeeded(1)}, {.timeout = std::chrono::hours::max()});
  CHECK(done.size() == 1);
}

TEST_CASE("FIRST_COMPLETED returns when one is done already") {
  const Futures all{Future<int>(), succeeded(1)};
  const auto [done, not_done] = wait(all, {.return_when = FIRST_COMPLETED});
  CHECK(done == Futures{all[1]});
  CHECK(not_done == Futures{all[0]});
}

TEST_CASE("FIRST_COMPLETED returns when the first one is done") {
  Futures all{Future<int>(), Future<int>(), Future<int>()};
  std::jthread completer([one = all[1]]() mutable { one.set_result(1); });
  const auto [done, not_done] = wait(all, {.return_when = FIRST_COMPLETED});
  CHECK(done == Futures{all[1]});
  CHECK(not_done == Futures{all[0], all[2]});
}

TEST_CASE("FIRST_COMPLETED counts a cancellation") {
  Futures all{Future<int>(), Future<int>()};
  std::jthread completer([one = all[1]]() mutable { one.cancel(); });
  CHECK(wait(all, {.return_when = FIRST_COMPLETED}).done == Futures{all[1]});
}

TEST_CASE("FIRST_EXCEPTION returns at the first exception") {
  Futures all{Future<int>(), Future<int>(), Future<int>()};
  std::jthread completer([all]() mutable {
    all[0].set_result(1);
    all[1].set_exception(std::make_exception_ptr(std::runtime_error("failed")));
  });
  const auto [done, not_done] = wait(all, {.return_when = FIRST_EXCEPTION});
  CHECK(done == Futures{all[0], all[1]});
  CHECK(not_done == Futures{all[2]});
}

TEST_CASE("FIRST_EXCEPTION returns at once when there is an exception already") {
  const Futures all{Future<int>(), failed()};
  CHECK(wait(all, {.return_when = FIRST_EXCEPTION}).done == Futures{all[1]});
}

TEST_CASE("FIRST_EXCEPTION waits for all when none fails, and a cancellation is no exception") {
  Futures all{Future<int>(), cancelled(), succeeded(1), Future<int>()};
  std::jthread completer([all]() mutable {
    all[0].cancel();
    all[3].set_result(3);
  });
  CHECK(wait(all, {.return_when = FIRST_EXCEPTION}).done == all);
}

TEST_CASE("wait by every rule keeps its timeout") {
  const Futures all{Future<int>(), Future<int>()};
  for (const ReturnWhen rule : {FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED}) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(wait(all, {.timeout = 20ms, .return_when = rule}).not_done == all);
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  }
}

TEST_CASE("a future that was cancelled while its task is queued is done for wait") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  Future<int> queued = pool.submit([] { return 1; });
  REQUIRE(queued.cancel());
  for (const ReturnWhen rule : {FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED}) {
    CHECK(wait(std::vector{queued}, {.return_when = rule}).done.size() == 1);
  }
}

TEST_CASE("a future that is cancelled while wait sleeps wakes it") {
  ThreadPoolExecutor pool(1);
  const support::Occupied occupied(pool);
  Future<int> queued = pool.submit([] { return 1; });
  std::jthread canceller([queued]() mutable { queued.cancel(); });
  CHECK(wait(std::vector{queued}).done.size() == 1);
}

TEST_CASE("wait refuses a handle that was moved from") {
  Future<int> future;
  const Future<int> taken = std::move(future);
  CHECK_THROWS_AS(wait(std::vector{future}), InvalidStateError);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("wait works for futures of void, of references and of what can only be moved") {
  int object = 1;
  Future<void> nothing;
  nothing.set_result();
  Future<int&> reference;
  reference.set_result(object);
  Future<std::unique_ptr<int>> pointer;
  pointer.set_result(nullptr);
  CHECK(wait(std::vector{nothing}).done.size() == 1);
  CHECK(wait(std::vector{reference}).done.size() == 1);
  CHECK(wait(std::vector{pointer}).done.size() == 1);
}

TEST_CASE("many threads may wait for the same futures by different rules") {
  Futures all(20);
  std::atomic<std::size_t> seen{0};
  {
    std::vector<std::jthread> waiters;
    for (const ReturnWhen rule : {FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED}) {
      for (int i = 0; i < 2; ++i) {
        waiters.emplace_back([&seen, all, rule] {
          const auto [done, not_done] = wait(all, {.return_when = rule});
          if (done.size() + not_done.size() == all.size() && !done.empty()) ++seen;
        });
      }
    }
    for (Future<int>& future : all) future.set_result(0);
  }
  CHECK(seen == 6);
}

TEST_CASE("wait for many tasks of a pool comes back with all of them") {
  ThreadPoolExecutor pool(4);
  Futures all;
  for (int i = 0; i < 2000; ++i) all.push_back(pool.submit([i] { return i; }));
  const auto [done, not_done] = wait(all);
  CHECK(done == all);
  int sum = 0;
  for (const auto& future : done) sum += future.result();
  CHECK(sum == 1999 * 1000);
}

TEST_CASE("waits that time out leave nothing behind on the future") {
  // If each left an entry, completing the future would walk them all, and their memory be gone.
  Future<int> future;
  const Futures both{future, Future<int>()};
  for (std::size_t i = 0; i < support::scaled(20'000); ++i) {
    static_cast<void>(wait(both, {.timeout = 0s, .return_when = FIRST_COMPLETED}));
  }
  future.set_result(1);
  CHECK(wait(both, {.return_when = FIRST_COMPLETED}).done == Futures{future});
}

TEST_CASE("waits that time out race with the completion") {
  for (std::size_t round = 0; round < 200; ++round) {
    Futures all(3);
    std::jthread completer([all]() mutable {
      for (Future<int>& future : all) future.set_result(1);
    });
    while (wait(all, {.timeout = 50us, .return_when = FIRST_EXCEPTION}).done.size() != 3) {
    }
  }
  SUCCEED();
}
