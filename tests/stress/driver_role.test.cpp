// SPDX-License-Identifier: MIT

// The role of who does a process pool's work, with threads that leave it to each other all the
// time. What can go wrong in it is looked for in the model (tests/futures/detail); here it meets
// real processors, a real futex, and ThreadSanitizer.

#include <concurrent/futures/detail/process/driver_role.hpp>

#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/stress.hpp"

namespace {

using concurrent::futures::detail::process::DriverRole;

/// Items, and those who work on them: who brings them, if they can, and a manager.
class Desk {
 public:
  /// Brings one. Does what there is, if nobody else has the role.
  void pass_by() {
    {
      const std::scoped_lock lock(mutex_);
      ++items_;
    }
    if (!role_.try_enter()) {
      role_.leave_word();
      if (!role_.try_enter()) return;
    }
    work();
    for (;;) {
      role_.leave();
      if (!role_.has_word() || !role_.try_enter()) return;
      work();
    }
  }
  /// As the manager: comes when it must, even if others have the role nearly always.
  void manage() {
    do {
      role_.enter();
      work();
      role_.leave();
    } while (role_.has_word());
  }
  /// When nobody is at work.
  [[nodiscard]] std::size_t worked() const { return worked_; }
  [[nodiscard]] bool ever_shared() const { return shared_; }

 private:
  void work() {
    if (!role_.mine()) shared_ = true;
    role_.take_word();
    std::size_t items = 0;
    {
      const std::scoped_lock lock(mutex_);
      std::swap(items, items_);
    }
    worked_ += items;
  }

  DriverRole role_;
  std::mutex mutex_;
  std::size_t items_ = 0;
  std::size_t worked_ = 0;  // with the role, as the next one
  bool shared_ = false;
};

}  // namespace

TEST_CASE("no item is left between threads that pass by and a manager, again and again") {
  const std::size_t rounds = support::rounds(200'000);
  constexpr std::size_t passers_by = 3;
  Desk desk;
  std::vector<std::thread> threads;
  threads.reserve(passers_by);
  for (std::size_t i = 0; i < passers_by; ++i) {
    threads.emplace_back([&desk, rounds] {
      for (std::size_t round = 0; round < rounds; ++round) desk.pass_by();
    });
  }
  for (std::size_t round = 0; round < rounds; ++round) desk.manage();
  for (std::thread& thread : threads) thread.join();
  CHECK(desk.worked() == passers_by * rounds);
  CHECK(!desk.ever_shared());
}

TEST_CASE("the last item is worked on before all who passed by are gone, in every round") {
  const std::size_t rounds = support::rounds(1'000);
  support::Pauses pauses(1, std::chrono::microseconds(5));
  std::size_t left = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    Desk desk;
    std::thread other([&desk] { desk.pass_by(); });
    pauses.pause();
    desk.pass_by();
    other.join();
    left += 2 - desk.worked();
  }
  CHECK(left == 0);
}
