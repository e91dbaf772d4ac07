// SPDX-License-Identifier: MIT

// The thread pool under loads that look for moments: going to sleep, stealing, many producers, more
// threads than processors.

#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#if defined(__linux__)
#include <sched.h>
#endif

#include <deque>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/stress.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

constexpr auto generous = 60s;

/// Submits a task whenever the workers may just be going to sleep. The round whose task nobody ran,
/// if any.
std::optional<std::size_t> sleep_against_submit(std::size_t workers, std::size_t rounds) {
  ThreadPoolExecutor pool(workers);
  support::Pauses pauses(static_cast<std::uint32_t>(workers));
  for (std::size_t i = 0; i < workers; ++i) pool.post([] {});
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto future = pool.submit([round] { return round; });
    try {
      if (future.result(generous) != round) return round;
    } catch (const TimeoutError&) {
      return round;
    }
    pauses.pause();
  }
  return std::nullopt;
}

/// As many ids as a tree of this depth has nodes; each task submits two.
void submit_tree(ThreadPoolExecutor& pool, support::Tally& tally, std::size_t node,
                 std::size_t count) {
  tally.ran(node);
  for (const std::size_t child : {2 * node + 1, 2 * node + 2}) {
    if (child >= count) return;
    pool.post([&pool, &tally, child, count] { submit_tree(pool, tally, child, count); });
  }
}

std::size_t fibonacci(ThreadPoolExecutor& pool, std::size_t n) {
  if (n < 2) return n;
  const auto other = pool.submit([&pool, n] { return fibonacci(pool, n - 1); });
  const std::size_t mine = fibonacci(pool, n - 2);
  return mine + other.result();
}

/// The process's threads on one processor while it lives (those that this thread starts).
class OneProcessor {
 public:
  OneProcessor() {
#if defined(__linux__)
    if (::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t i = 0; i < CPU_SETSIZE; ++i) {
      if (!CPU_ISSET(i, &before_)) continue;
      CPU_SET(i, &one);
      break;
    }
    in_force_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
#endif
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() {
#if defined(__linux__)
    if (in_force_) ::sched_setaffinity(0, sizeof before_, &before_);
#endif
  }
  [[nodiscard]] bool in_force() const { return in_force_; }

 private:
#if defined(__linux__)
  cpu_set_t before_{};
#endif
  bool in_force_ = false;
};

}  // namespace

TEST_CASE("a task wakes the one worker that is just going to sleep") {
  CHECK(sleep_against_submit(1, support::rounds(10'000)) == std::nullopt);
}

TEST_CASE("a task wakes one of two workers that are just going to sleep") {
  CHECK(sleep_against_submit(2, support::rounds(10'000)) == std::nullopt);
}

TEST_CASE("a task wakes one of 16 workers that are just going to sleep") {
  CHECK(sleep_against_submit(16, support::rounds(10'000)) == std::nullopt);
}

TEST_CASE("two tasks that need each other wake two workers that are just going to sleep") {
  ThreadPoolExecutor pool(2);
  support::Pauses pauses(3);
  std::size_t met = 0;
  const std::size_t rounds = support::rounds(3'000);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::atomic<int> here{0};
    const auto meet = [&here] {
      here.fetch_add(1);
      here.notify_all();
      for (int seen = here.load(); seen < 2; seen = here.load()) here.wait(seen);
    };
    const auto one = pool.submit(meet);
    if (pauses.coin()) pauses.pause();
    const auto other = pool.submit(meet);
    try {
      one.result(generous);
      other.result(generous);
      ++met;
    } catch (const TimeoutError&) {
      here.store(2);
      here.notify_all();
      pool.wait_idle();
      break;
    }
    pauses.pause();
  }
  CHECK(met == rounds);
}

TEST_CASE("every task runs exactly once while workers steal from each other") {
  constexpr std::size_t count = 4'095;
  const std::size_t rounds = support::rounds(60);
  std::size_t wrong = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    support::Tally tally(count);
    ThreadPoolExecutor pool(1 + round % 8);
    pool.post([&] { submit_tree(pool, tally, 0, count); });
    if (round % 2 == 0) {
      pool.wait_idle();
    } else {
      while (tally.not_exactly_once() != 0 && !pool.wait_idle(1ms)) {
      }
    }
    wrong += tally.not_exactly_once();
  }
  CHECK(wrong == 0);
}

TEST_CASE("tasks that wait for their own are right while workers steal from each other") {
  const std::size_t rounds = support::rounds(80);
  std::size_t right = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    ThreadPoolExecutor pool(1 + round % 8);
    if (pool.submit([&pool] { return fibonacci(pool, 15); }).result() == 610) ++right;
  }
  CHECK(right == rounds);
}

TEST_CASE("32 producers lose nothing, and one worker keeps the order of each") {
  constexpr std::size_t producers = 32;
  const std::size_t each = support::rounds(10'000);
  support::Tally tally(producers * each);
  std::vector<std::size_t> next(producers, 0);  // the worker's
  std::size_t out_of_order = 0;                 // the worker's
  {
    ThreadPoolExecutor pool(1);
    std::vector<std::thread> threads;
    for (std::size_t producer = 0; producer < producers; ++producer) {
      threads.emplace_back([&, producer] {
        for (std::size_t i = 0; i < each; ++i) {
          pool.post([&, producer, i] {
            tally.ran(producer * each + i);
            if (std::exchange(next[producer], i + 1) != i) ++out_of_order;
          });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(tally.not_exactly_once() == 0);
  CHECK(out_of_order == 0);
}

TEST_CASE("32 producers get every result from four workers") {
  constexpr std::size_t producers = 32;
  const std::size_t each = support::rounds(6'000);
  std::atomic<std::size_t> right{0};
  ThreadPoolExecutor pool(4);
  std::vector<std::thread> threads;
  for (std::size_t producer = 0; producer < producers; ++producer) {
    threads.emplace_back([&, producer] {
      std::deque<Future<std::size_t>> pending;
      for (std::size_t i = 0; i < each; ++i) {
        pending.push_back(pool.submit([](std::size_t x) { return x + 1; }, producer + i));
        if (pending.size() < 16 && i + 1 < each) continue;
        const std::size_t first = i + 1 - pending.size();
        for (std::size_t k = 0; k < pending.size(); ++k) {
          if (pending[k].result() == producer + first + k + 1) ++right;
        }
        pending.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == producers * each);
}

TEST_CASE("eight times more workers than processors lose nothing") {
  const std::size_t workers = 8 * concurrent::detail::os::usable_cpus();
  const std::size_t rounds = support::rounds(60);
  std::size_t right = 0;
  std::size_t wrong = 0;
  ThreadPoolExecutor pool(workers);
  for (std::size_t round = 0; round < rounds; ++round) {
    support::Tally tally(2'047);
    pool.post([&] { submit_tree(pool, tally, 0, 2'047); });
    if (pool.submit([&pool] { return fibonacci(pool, 14); }).result() == 377) ++right;
    pool.wait_idle();
    wrong += tally.not_exactly_once();
  }
  CHECK(right == rounds);
  CHECK(wrong == 0);
  CHECK(sleep_against_submit(workers, support::rounds(1'000)) == std::nullopt);
}

TEST_CASE("after a cancelling end no worker begins more than it has in its hands") {
  constexpr std::size_t workers = 2;
  support::Pauses pauses(5, std::chrono::microseconds(4));
  std::size_t too_late = 0;
  for (std::size_t round = 0; round < support::rounds(1'000); ++round) {
    std::atomic<bool> under_way = false;
    std::atomic<bool> ended = false;
    std::atomic<std::size_t> late = 0;
    ThreadPoolExecutor pool(workers);
    pool.post([&] {
      // Waits for the oldest first, so that the worker looks through its deque.
      while (!ended) {
        std::vector<Future<void>> tasks;
        try {
          for (int i = 0; i < 16; ++i) {
            tasks.push_back(pool.submit([&] {
              if (ended) ++late;
            }));
          }
        } catch (const ShutdownError&) {
        }
        under_way = true;
        wait(tasks);
      }
    });
    while (!under_way) {
    }
    pauses.pause();
    pool.shutdown(false, true);
    ended = true;
    pool.shutdown();
    if (late > workers) ++too_late;
  }
  CHECK(too_late == 0);
}

TEST_CASE("a pool in every thread of another pool loses nothing") {
  constexpr std::size_t outer_workers = 4;
  const std::size_t rounds = support::rounds(400);
  std::atomic<std::size_t> right{0};
  ThreadPoolExecutor outer(outer_workers);
  std::vector<Future<void>> futures;
  for (std::size_t i = 0; i < rounds; ++i) {
    futures.push_back(outer.submit([&] {
      ThreadPoolExecutor inner(2);
      const auto mine = inner.submit([&inner] { return fibonacci(inner, 8); });
      // Through the other pool and back
      const auto through =
          outer.submit([&inner] { return inner.submit([] { return 1; }).result() + 1; });
      if (mine.result() == 21 && through.result() == 2) ++right;
    }));
  }
  for (const auto& future : futures) future.result();
  CHECK(right == rounds);
}

TEST_CASE("on one processor no task is lost") {
  const OneProcessor one_processor;
  if (!one_processor.in_force()) {
    WARN("skipped: the processor cannot be chosen here");
    return;
  }
  CHECK(concurrent::detail::os::usable_cpus() == 1);
  CHECK(sleep_against_submit(1, support::rounds(2'000)) == std::nullopt);
  CHECK(sleep_against_submit(4, support::rounds(2'000)) == std::nullopt);
  const std::size_t rounds = support::rounds(60);
  std::size_t right = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    ThreadPoolExecutor pool(4);
    if (pool.submit([&pool] { return fibonacci(pool, 14); }).result() == 377) ++right;
  }
  CHECK(right == rounds);
}
