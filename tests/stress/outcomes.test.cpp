// SPDX-License-Identifier: MIT

// Outcomes under loads that look for moments: the end of a pool, cancellation, waiting for several
// futures, futures as arguments, bounded queues.

#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <latch>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/stress.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

int add(int a, int b) { return a + b; }

/// Runs `work(i)` in `count` threads that begin at the same time.
template <class F>
class Together {
 public:
  Together(std::size_t count, F work) : begin_(static_cast<std::ptrdiff_t>(count)) {
    for (std::size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, work, i] {
        begin_.arrive_and_wait();
        work(i);
      });
    }
  }
  Together(const Together&) = delete;
  Together& operator=(const Together&) = delete;
  ~Together() { join(); }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::latch begin_;
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("what is accepted while a pool shuts down is completed, and once only") {
  constexpr std::size_t submitters = 4;
  constexpr std::size_t most = 2'000;
  const std::size_t rounds = support::rounds(300);
  std::size_t unresolved = 0;
  std::size_t wrong = 0;
  support::Pauses pauses(1, 200us);
  for (std::size_t round = 0; round < rounds; ++round) {
    support::Tally tally(submitters * most);
    std::vector<Future<void>> accepted[submitters];
    ThreadPoolExecutor pool(1 + round % 3);
    Together submitting(submitters, [&](std::size_t i) {
      try {
        for (std::size_t k = 0; k < most; ++k) {
          accepted[i].push_back(pool.submit([&tally, id = i * most + k] { tally.ran(id); }));
        }
      } catch (const ShutdownError&) {
      }
    });
    pauses.pause();
    pool.shutdown(pauses.coin(), pauses.coin());
    submitting.join();
    pool.shutdown();
    for (std::size_t i = 0; i < submitters; ++i) {
      for (std::size_t k = 0; k < most; ++k) {
        const unsigned times = tally.times(i * most + k);
        if (k >= accepted[i].size()) {
          wrong += times;  // it was refused
        } else if (!accepted[i][k].done()) {
          ++unresolved;
        } else if (times != (accepted[i][k].cancelled() ? 0 : 1)) {
          ++wrong;
        }
      }
    }
  }
  CHECK(unresolved == 0);
  CHECK(wrong == 0);
}

TEST_CASE("a task that is cancelled as it starts either runs or is cancelled") {
  const std::size_t rounds = support::rounds(1'600);
  constexpr std::size_t count = 64;
  std::size_t wrong = 0;
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < rounds; ++round) {
    support::Tally tally(count);
    std::vector<Future<std::size_t>> futures;
    for (std::size_t i = 0; i < count; ++i) {
      futures.push_back(pool.submit([&tally, i] {
        tally.ran(i);
        return i;
      }));
    }
    std::atomic<bool> cancelled[2][count]{};
    {
      const Together cancelling(2, [&](std::size_t by) {
        for (std::size_t i = 0; i < count; ++i) {
          cancelled[by][i].store(futures[count - 1 - i].cancel(), std::memory_order_relaxed);
        }
      });
    }
    pool.wait_idle();
    for (std::size_t i = 0; i < count; ++i) {
      const bool by_one = cancelled[0][count - 1 - i].load(std::memory_order_relaxed);
      const bool by_other = cancelled[1][count - 1 - i].load(std::memory_order_relaxed);
      const bool was = futures[i].cancelled();
      if (!futures[i].done() || was != (tally.times(i) == 0) || by_one != was || by_other != was ||
          (!was && futures[i].result() != i)) {
        ++wrong;
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("as_completed gives every future once while they complete and time runs out") {
  const std::size_t rounds = support::rounds(1'000);
  constexpr std::size_t count = 100;
  std::atomic<std::size_t> wrong{0};
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<Future<std::size_t>> futures;
    for (std::size_t i = 0; i < count; ++i) futures.push_back(pool.submit([i] { return i; }));
    const Together consuming(2, [&](std::size_t consumer) {
      // At first with no time to speak of: what it began is left behind while they complete.
      std::size_t given = 0;
      try {
        for (const auto& future : as_completed(futures, std::chrono::microseconds(round % 100))) {
          if (!future.done()) ++wrong;
          ++given;
        }
        if (given != count) ++wrong;
      } catch (const TimeoutError&) {
        if (given >= count) ++wrong;
      }
      support::Tally tally(count);
      for (const auto& future : as_completed(futures)) {
        tally.ran(future.result());
        if (consumer == 1 && round % 4 == 0) break;  // leaves early
      }
      if (!(consumer == 1 && round % 4 == 0) && tally.not_exactly_once() != 0) ++wrong;
    });
  }
  CHECK(wrong == 0);
}

TEST_CASE("wait tells done from not done while futures complete and time runs out") {
  const std::size_t rounds = support::rounds(600);
  constexpr std::size_t count = 60;
  std::atomic<std::size_t> wrong{0};
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<Future<std::size_t>> futures;
    for (std::size_t i = 0; i < count; ++i) futures.push_back(pool.submit([i] { return i; }));
    const Together waiting(3, [&](std::size_t waiter) {
      const auto when = waiter == 0 ? FIRST_COMPLETED : ALL_COMPLETED;
      const Timeout timeout = waiter == 1 ? Timeout(std::chrono::microseconds(round)) : Timeout();
      std::size_t done = 0;
      for (std::vector<Future<std::size_t>> left = futures; !left.empty();) {
        auto sets = wait(left, {.timeout = timeout, .return_when = when});
        if (sets.done.size() + sets.not_done.size() != left.size()) ++wrong;
        if (timeout.forever() && sets.done.empty()) ++wrong;
        for (const auto& future : sets.done) wrong += future.done() ? 0U : 1U;
        done += sets.done.size();
        left = std::move(sets.not_done);
      }
      if (done != count) ++wrong;
    });
  }
  CHECK(wrong == 0);
}

TEST_CASE("a task whose arguments are just being completed runs once and sees them") {
  const std::size_t rounds = support::rounds(1'500);
  std::size_t wrong = 0;
  ThreadPoolExecutor pool(2);
  for (std::size_t round = 0; round < rounds; ++round) {
    Future<int> outside;
    const auto in_pool = pool.submit([] { return 2; });
    Future<int> sums[2];
    {
      const Together racing(3, [&](std::size_t i) {
        if (i == 2) {
          static_cast<void>(outside.set_running_or_notify_cancel());
          outside.set_result(40);
        } else {
          sums[i] = pool.submit(add, in_pool, outside);
        }
      });
    }
    if (pool.submit(add, sums[0], sums[1]).result() != 84) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a chain of futures as arguments comes to its end while it is built") {
  const std::size_t rounds = support::rounds(400);
  std::size_t right = 0;
  ThreadPoolExecutor pool(4);
  for (std::size_t round = 0; round < rounds; ++round) {
    Future<int> last = pool.submit([] { return 0; });
    for (int i = 0; i < 300; ++i) last = pool.submit(add, last, 1);
    if (last.result() == 300) ++right;
  }
  CHECK(right == rounds);
}

TEST_CASE("a bounded queue loses nothing under many producers, whatever it does when full") {
  const auto when_full = GENERATE(WhenFull::block, WhenFull::throw_error, WhenFull::run_in_caller);
  constexpr std::size_t producers = 8;
  const std::size_t each = support::rounds(2'000);
  support::Tally tally(producers * each);
  std::atomic<std::size_t> refused{0};
  std::atomic<std::size_t> wrong{0};
  {
    ThreadPoolExecutor pool({.max_workers = 2, .max_pending = 4, .when_full = when_full});
    const Together producing(producers, [&](std::size_t producer) {
      for (std::size_t i = 0; i < each; ++i) {
        const std::size_t id = producer * each + i;
        try {
          pool.post([&tally, id] { tally.ran(id); });
        } catch (const QueueFullError&) {
          ++refused;
          if (tally.times(id) != 0) ++wrong;
          tally.ran(id);
        }
      }
    });
  }
  INFO("refused: " << refused);
  CHECK(tally.not_exactly_once() == 0);
  CHECK(wrong == 0);
  CHECK((refused == 0 || when_full == WhenFull::throw_error));
}

TEST_CASE("producers that wait for room learn that the pool shuts down") {
  const std::size_t rounds = support::rounds(300);
  constexpr std::size_t producers = 4;
  std::atomic<std::size_t> told{0};
  std::atomic<std::size_t> accepted{0};
  std::atomic<std::size_t> ran{0};
  support::Pauses pauses(2, 200us);
  for (std::size_t round = 0; round < rounds; ++round) {
    ThreadPoolExecutor pool({.max_workers = 1, .max_pending = 1, .when_full = WhenFull::block});
    const Together producing(producers, [&](std::size_t) {
      try {
        for (;;) {
          pool.post([&ran] { ++ran; });
          ++accepted;
        }
      } catch (const ShutdownError&) {
        ++told;
      }
    });
    pauses.pause();
    pool.shutdown();
  }
  CHECK(told == producers * rounds);
  CHECK(ran == accepted);
}
