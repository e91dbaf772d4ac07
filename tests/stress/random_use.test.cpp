// SPDX-License-Identifier: MIT

// Pools that are used in every order: whatever is done with one, it ends, every future is done by
// then, and every callback has run. A hang is the watchdog's to find.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/thread_pool.hpp>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/stress.hpp"

using namespace concurrent::futures;
using namespace std::chrono_literals;

namespace {

/// Of the last digits, lest squares of squares overflow.
int square(int x) { return (x % 1'000) * (x % 1'000); }
int rest(int microseconds) {
  ::usleep(static_cast<useconds_t>(microseconds));
  return microseconds;
}
int throw_if_odd(int x) { return x % 2 == 0 ? x : throw std::runtime_error("odd"); }
int die(int x) { return ::kill(::getpid(), SIGKILL) == 0 ? x : 0; }
std::string doubled(std::string text) { return text + text; }

enum class Deaths { none, some };

/// One pool and what is done with it, which the seed decides.
template <class Pool>
class RandomUse {
 public:
  RandomUse(std::uint32_t seed, Deaths deaths)
      : random_(seed), deaths_(deaths == Deaths::some), pool_(1 + below(3)) {}

  void run() {
    for (std::size_t left = below(40); left != 0; --left) {
      try {
        act();
      } catch (const ShutdownError&) {
        if (!closed_) throw;
      } catch (const BrokenExecutor&) {
        if (!closed_ && !deaths_) throw;
      }
    }
  }

 private:
  static constexpr bool processes = std::is_same_v<Pool, ProcessPoolExecutor>;

  std::size_t below(std::size_t end) { return random_() % end; }
  int number(std::size_t end) { return static_cast<int>(below(end)); }
  Future<int>& some() { return numbers_[below(numbers_.size())]; }

  void act() {
    switch (below(numbers_.empty() ? 9 : 14)) {
      case 0:
        return numbers_.push_back(pool_.submit(square, number(100)));
      case 1:
        return numbers_.push_back(pool_.submit(rest, number(2'000)));
      case 2:
        return numbers_.push_back(pool_.submit(throw_if_odd, number(100)));
      case 3: {
        const TaskOptions options{.priority = number(3) - 1,
                                  .delay = std::chrono::microseconds(below(3'000))};
        return numbers_.push_back(pool_.submit(options, square, number(100)));
      }
      case 4:
        return texts_.push_back(pool_.submit(doubled, std::string(below(200'000), 'x')));
      case 5:
        if (below(4) == 0) pool_.wait_idle(std::chrono::milliseconds(below(20)));
        return;
      case 6:
        if (below(8) != 0) return;
        closed_ = true;
        return pool_.shutdown(below(2) == 0, below(2) == 0);
      case 7:
        return map();
      case 8:
        return act_on_workers();
      case 9:
      case 10:
        some().cancel();
        return;
      case 11:
        helpers_.emplace_back([future = some()]() mutable { future.cancel(); });
        return;
      case 12:
        return numbers_.push_back(pool_.submit(square, some()));
      case 13:
        ++callbacks_;
        return some().add_done_callback([this](const Future<int>&) { ++called_; });
    }
  }

  void map() {
    if (below(3) != 0) return;
    int sum = 0;
    const std::vector<int> twos(below(50), 2);
    for (const int four : pool_.map(square, twos)) sum += four;
    CHECK(sum == 4 * static_cast<int>(twos.size()));
  }

  void act_on_workers() {
    if constexpr (processes) {
      if (deaths_ && below(6) == 0) {
        numbers_.push_back(pool_.submit(die, 1));
      } else if (below(20) == 0) {
        closed_ = true;
        pool_.kill_workers();
      } else if (below(5) == 0) {
        numbers_.push_back(pool_.submit(TaskOptions{.timeout = 2ms}, rest, number(4'000)));
      }
    }
  }

  std::minstd_rand random_;
  const bool deaths_;
  bool closed_ = false;
  int callbacks_ = 0;
  std::atomic<int> called_{0};

  /// Looks at all that there was when the pool is gone.
  struct AtTheEnd {
    RandomUse& use;
    ~AtTheEnd() {
      const auto done = [](const auto& future) { return future.done(); };
      CHECK(std::all_of(use.numbers_.begin(), use.numbers_.end(), done));
      CHECK(std::all_of(use.texts_.begin(), use.texts_.end(), done));
      CHECK(use.called_ == use.callbacks_);
    }
  };
  std::vector<Future<int>> numbers_;
  std::vector<Future<std::string>> texts_;
  AtTheEnd at_the_end_{*this};
  Pool pool_;
  std::vector<std::jthread> helpers_;
};

template <class Pool>
void use_at_random(std::size_t rounds, Deaths deaths) {
  for (std::uint32_t seed = 1; seed <= rounds; ++seed) {
    CAPTURE(seed);
    RandomUse<Pool>(seed, deaths).run();
  }
}

}  // namespace

TEST_CASE("a thread pool ends however it was used, and all is done then") {
  use_at_random<ThreadPoolExecutor>(support::rounds(1'000), Deaths::none);
}

TEST_CASE("a process pool ends however it was used, and all is done then") {
  use_at_random<ProcessPoolExecutor>(support::rounds(200), Deaths::none);
}

TEST_CASE("a process pool whose workers die ends however it was used, and all is done then") {
  use_at_random<ProcessPoolExecutor>(support::rounds(200), Deaths::some);
}
