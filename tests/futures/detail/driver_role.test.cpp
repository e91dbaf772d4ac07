// SPDX-License-Identifier: MIT

// Who does a process pool's work in the parent, under the model checker: the role with passers-by
// and a manager, in an engine that is reduced to what the protocol speaks of. Its functions are
// those of the engine, and do the same in the same order.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/process/driver_role.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

using concurrent::futures::detail::process::DriverRole;

/// Items under a mutex, as the engine's queue.
class Queue {
 public:
  void push() {
    const std::scoped_lock lock(mutex_);
    items_.set(items_.get() + 1);
  }
  /// With the role: how many there are.
  int take() {
    const std::scoped_lock lock(mutex_);
    const int items = items_.get();
    items_.set(0);
    return items;
  }

 private:
  model::mutex mutex_;
  model::plain<int> items_{0};
};

/// Items that nothing but the role and its word shows to others.
class Counter {
 public:
  void push() { pushed_.fetch_add(1, std::memory_order_relaxed); }
  int take() {
    const int pushed = pushed_.load(std::memory_order_relaxed);
    const int items = pushed - taken_.get();
    taken_.set(pushed);
    return items;
  }

 private:
  model::atomic<int> pushed_{0};
  model::plain<int> taken_{0};
};

/// What interrupts the manager's sleep, as an eventfd.
class Alarm {
 public:
  void call() {
    rung_.store(1, std::memory_order_release);
    model::futex_wake(rung_, 1, std::source_location::current());
  }
  void wait() {
    while (rung_.exchange(0, std::memory_order_acquire) == 0) {
      model::futex_wait(rung_, 0, std::source_location::current());
    }
  }

 private:
  model::atomic<std::uint32_t> rung_{0};
};

/// Its manager ends when the last of `expected` items has been worked on; until then, it sleeps for
/// ever if one was forgotten.
template <class Items>
class Engine {
 public:
  explicit Engine(int expected) : expected_(expected) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() {
    if (manager_.joinable()) manager_.join();
    model::require(worked_.get() == expected_, "an item is left, and nobody comes for it");
    model::require(role_.try_enter(), "somebody still has the role");
    role_.leave();
  }

  void start_manager() {
    manager_ = model::thread([this] { manage(); });
  }
  /// As a callback of the first item's.
  void submit_nested_once() { nested_.set(1); }
  /// So often does who steps down do what others leave to it, before it calls the manager.
  void set_most_rounds(int rounds) { most_rounds_ = rounds; }

  void submit() {
    items_.push();
    if (role_.mine()) return role_.leave_word();
    if (enter_as_passer_by()) pass_by();
  }

 private:
  bool enter_as_passer_by() {
    if (role_.try_enter()) return true;
    role_.leave_word();
    return role_.try_enter();
  }
  void pass_by() {
    work();
    step_down();
  }
  void step_down() {
    for (int round = 0;; ++round) {
      leave();
      if (!role_.has_word()) return;
      if (round == most_rounds_) return alarm_.call();
      if (!role_.try_enter()) return;
      work();
    }
  }
  void manage() {
    while (!finished_.load(std::memory_order_relaxed)) {
      role_.enter();
      work();
      leave();
      if (role_.has_word()) continue;
      if (!finished_.load(std::memory_order_relaxed)) alarm_.wait();
    }
  }
  /// With the role. What is plain here is watched for races.
  void work() {
    model::require(role_.mine(), "the role, and not known as mine");
    role_.take_word();
    const int items = items_.take();
    if (items == 0) return;
    worked_.set(worked_.get() + items);
    if (nested_.get() != 0) {
      nested_.set(0);
      submit();
    }
    if (worked_.get() != expected_) return;
    finished_.store(true, std::memory_order_relaxed);  // the alarm hands it over
    alarm_.call();
  }
  void leave() {
    role_.leave();
    model::require(!role_.mine(), "still mine without the role");
  }

  const int expected_;
  int most_rounds_ = 16;
  DriverRole role_;
  Items items_;
  Alarm alarm_;
  model::atomic<bool> finished_{false};
  model::plain<int> worked_{0};
  model::plain<int> nested_{0};
  model::thread manager_;
};

template <class Items>
void two_pass_by() {
  Engine<Items> engine(2);
  model::thread other([&] { engine.submit(); });
  engine.submit();
  other.join();
}

template <class Items>
void two_pass_by_twice() {
  Engine<Items> engine(4);
  const auto pass_by = [&] {
    engine.submit();
    engine.submit();
  };
  model::thread other(pass_by);
  pass_by();
  other.join();
}

template <class Items>
void three_pass_by() {
  Engine<Items> engine(3);
  model::thread one([&] { engine.submit(); });
  model::thread other([&] { engine.submit(); });
  engine.submit();
  one.join();
  other.join();
}

template <class Items>
void one_passes_by_and_the_manager_works_too() {
  Engine<Items> engine(2);
  engine.start_manager();
  engine.submit();
  engine.submit();
}

template <class Items>
void two_pass_by_and_the_manager_works_too() {
  Engine<Items> engine(2);
  engine.start_manager();
  model::thread other([&] { engine.submit(); });
  engine.submit();
  other.join();
}

template <class Items>
void a_callback_submits() {
  Engine<Items> engine(3);
  engine.submit_nested_once();
  engine.start_manager();
  engine.submit();
  engine.submit();
}

template <class Items>
void who_has_done_enough_calls_the_manager() {
  Engine<Items> engine(3);
  engine.set_most_rounds(0);
  engine.start_manager();
  model::thread other([&] { engine.submit(); });
  engine.submit();
  engine.submit();
  other.join();
}

/// Without work: whoever leaves the role while the manager waits for it leaves it to the manager.
class HandOver {
 public:
  void pass_by() {
    if (!role_.try_enter()) return;
    const int before = turns_.get();
    const bool wanted = role_.is_wanted();
    role_.leave();
    if (wanted) expect_a_turn_after(before);
  }
  /// As one that waits for a result, and drives meanwhile.
  void stay_until_wanted() {
    while (!role_.try_enter()) model::yield();
    const int before = turns_.get();
    while (!role_.is_wanted()) model::yield();
    role_.leave();
    expect_a_turn_after(before);
  }
  void manage() {
    role_.enter();
    model::require(role_.mine(), "the role, and not known as mine");
    turns_.set(turns_.get() + 1);
    role_.leave();
  }

 private:
  void expect_a_turn_after(int before) {
    if (!role_.try_enter()) return;
    model::require(turns_.get() > before, "somebody was let in before the manager");
    role_.leave();
  }

  DriverRole role_;
  model::plain<int> turns_{0};  // the manager's, touched with the role
};

void the_manager_comes_twice_while_one_passes_by() {
  HandOver role;
  model::thread passer_by([&] {
    for (int i = 0; i < 3; ++i) role.pass_by();
  });
  for (int i = 0; i < 2; ++i) role.manage();
  passer_by.join();
}

void the_manager_comes_while_two_pass_by() {
  HandOver role;
  const auto keep_coming = [&] {
    for (int i = 0; i < 2; ++i) role.pass_by();
  };
  model::thread one(keep_coming);
  model::thread other(keep_coming);
  role.manage();
  one.join();
  other.join();
}

void one_stays_until_the_manager_wants_the_role() {
  HandOver role;
  model::atomic<bool> left{false};
  model::thread waiter([&] {
    role.stay_until_wanted();
    left.store(true, std::memory_order_relaxed);
  });
  while (!left.load(std::memory_order_relaxed)) {
    role.manage();
    model::yield();
  }
  waiter.join();
}

/// What runs, and in how many executions all of it.
struct Scene {
  model::Body body;
  model::Options bounds;
};
const model::Options wide{.preemptions = 3, .stale_reads = 2, .stale_failures = true};
const model::Options narrow{.preemptions = 2, .stale_reads = 1, .stale_failures = true};

const std::vector<Scene> all{
    {two_pass_by<Queue>, wide},
    {two_pass_by<Counter>, wide},
    {two_pass_by_twice<Queue>, wide},
    {two_pass_by_twice<Counter>, wide},
    {one_passes_by_and_the_manager_works_too<Queue>, wide},
    {one_passes_by_and_the_manager_works_too<Counter>, wide},
    {a_callback_submits<Queue>, wide},
    {a_callback_submits<Counter>, wide},
    {the_manager_comes_twice_while_one_passes_by, wide},
    {one_stays_until_the_manager_wants_the_role, wide},
    // From here on with three threads
    {the_manager_comes_while_two_pass_by, narrow},
    {three_pass_by<Queue>, narrow},
    {three_pass_by<Counter>, narrow},
    {two_pass_by_and_the_manager_works_too<Queue>, narrow},
    {two_pass_by_and_the_manager_works_too<Counter>, narrow},
    {who_has_done_enough_calls_the_manager<Queue>, narrow},
    {who_has_done_enough_calls_the_manager<Counter>, narrow},
};

std::vector<model::Body> bodies() {
  std::vector<model::Body> bodies;
  bodies.reserve(all.size());
  for (const Scene& scene : all) bodies.push_back(scene.body);
  return bodies;
}

}  // namespace

TEST_CASE("one at a time does a process pool's work, and nothing is left undone") {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const model::Result result = model::explore(all[i].bounds, all[i].body);
    INFO(i << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("one at a time does a process pool's work, with more switches, at random") {
  for (const Scene& scene : all) {
    const model::Result result = model::explore(
        {.preemptions = 8, .stale_reads = 8, .stale_failures = true, .executions = 500, .seed = 1},
        scene.body);
    INFO(&scene - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}

TEST_CASE("every order of a process pool's role is needed") {
  const std::vector<model::Options> ways{
      {.preemptions = 1, .stale_reads = 1, .stale_failures = true},
      {.preemptions = 8, .stale_reads = 8, .stale_failures = true, .executions = 500, .seed = 1}};
  CHECK(model::surviving_mutations("driver_role.hpp", ways, bodies()) ==
        std::vector<std::string>{
            // E1 that succeeds acquires L1 or L2, and no more; its failure needs the single order
            "DriverRole::try_enter compare_exchange seq_cst weaken",
            "DriverRole::enter compare_exchange seq_cst weaken",  // as E1
            // What the manager reads when E3 or E2 fails is but a hint: the next step looks again
            "DriverRole::enter compare_exchange seq_cst weaken_failure",
            // E2 hands nothing over
            "DriverRole::enter#2 compare_exchange seq_cst weaken",
            "DriverRole::enter#2 compare_exchange seq_cst weaken_failure",
            // L1 fails for one reason only, and who leaves reads nothing of the manager's
            "DriverRole::leave compare_exchange seq_cst weaken_failure",
            // L2 releases. Who fails at E1 because of it comes before the manager's L1.
            "DriverRole::leave#2 store seq_cst weaken",
            // It acquires D1. Who still sees the word at D2 goes round once more, for nothing.
            "DriverRole::take_word exchange seq_cst weaken",
        });
}
