// SPDX-License-Identifier: MIT

// What as_completed and wait stand on, under the model checker: one consumer, and states that other
// threads complete.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/completions.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

namespace detail = concurrent::futures::detail;
using detail::Completions;
using detail::Deadline;
using detail::Phase;

const Deadline never;
const Deadline passed{Deadline::Clock::time_point()};

/// States of one size, always at the same addresses: an address decides which mutex a state uses,
/// and the model repeats only what does not change.
class SameAddresses {
 public:
  static void* take() {
    std::size_t i = 0;
    while (used[i]) ++i;
    used[i] = true;
    return &memory[i];
  }
  static void give_back(void* slot) {
    used[static_cast<std::size_t>(static_cast<Slot*>(slot) - memory)] = false;
  }

  static constexpr std::size_t size = 320;

 private:
  struct alignas(64) Slot {
    std::byte bytes[size];
  };
  alignas(4096) inline static Slot memory[4];
  inline static std::array<bool, 4> used{};
};

class State : public detail::State<model::plain<int>> {
 public:
  static void* operator new(std::size_t size) {
    model::require(size <= SameAddresses::size, "no room");
    return SameAddresses::take();
  }
  static void operator delete(void* state) { SameAddresses::give_back(state); }

  /// One reference for who completes it, one for the set.
  explicit State(std::uint32_t references = 2) : detail::State<model::plain<int>>(references) {}
  /// As a worker does with a task that it claimed; lets go of it.
  void complete() {
    claim(Phase::executing);
    store_value(42);
    publish(Phase::value);
    release();
  }
  /// Whoever gets it sees the outcome, without looking at the phase first.
  void be_given() {
    model::require(!given.get(), "given twice");
    given.set(true);
    model::require(value().get() == 42, "another value");
    release();
  }

  model::plain<bool> given{false};
};

/// A set, and what its consumer does. Every state is given once; none is left behind, which the
/// model would see, as states and sets hold atomics.
class Consumer {
 public:
  explicit Consumer(std::size_t count) : set_(Completions::make(count)) {}
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;
  ~Consumer() { set_->close(); }

  void add(State* state) {
    set_->add(state);
    ++expected_;
  }
  bool next(Deadline deadline = never) {
    auto* const state = static_cast<State*>(set_->next(deadline));
    if (state == nullptr) return false;
    --expected_;
    model::require(set_->left() == expected_, "another number of states is left");
    state->be_given();
    return true;
  }
  void take(int count) {
    for (int i = 0; i < count; ++i) model::require(next(), "no state, although some are left");
  }
  void take_all() {
    while (next()) {
    }
    model::require(expected_ == 0, "states are left, and none is given");
  }

 private:
  Completions* set_;
  std::size_t expected_ = 0;
};

void two_complete_one_each() {
  State* const states[] = {new State, new State};
  Consumer consumer(2);
  for (State* const state : states) consumer.add(state);
  model::thread one([&] { states[0]->complete(); });
  model::thread other([&] { states[1]->complete(); });
  consumer.take_all();
  one.join();
  other.join();
}

void one_completes_two() {
  State* const states[] = {new State, new State};
  model::thread worker([&] {
    for (State* const state : states) state->complete();
  });
  Consumer consumer(2);
  for (State* const state : states) consumer.add(state);
  consumer.take_all();
  worker.join();
}

void they_come_in_the_order_of_completion() {
  State* const states[] = {new State(3), new State(3)};
  Consumer consumer(2);
  for (State* const state : states) consumer.add(state);
  model::thread worker([&] {
    states[1]->complete();
    states[0]->complete();
  });
  consumer.take(1);
  model::require(states[1]->given.get(), "not the first one that was completed");
  consumer.take(1);
  worker.join();
  for (State* const state : states) state->release();
}

void one_was_done_before() {
  State* const states[] = {new State, new State};
  states[0]->complete();
  Consumer consumer(2);
  model::thread worker([&] { states[1]->complete(); });
  for (State* const state : states) consumer.add(state);
  consumer.take_all();
  worker.join();
}

void the_consumer_leaves_while_one_completes() {
  State* const states[] = {new State, new State};
  model::thread worker([&] {
    for (State* const state : states) state->complete();
  });
  {
    Consumer consumer(2);
    for (State* const state : states) consumer.add(state);
  }
  worker.join();
}

void the_consumer_leaves_while_two_complete() {
  State* const states[] = {new State, new State};
  std::optional<Consumer> consumer(2);
  for (State* const state : states) consumer->add(state);
  model::thread one([&] { states[0]->complete(); });
  model::thread other([&] { states[1]->complete(); });
  consumer.reset();
  one.join();
  other.join();
}

void the_consumer_leaves_after_the_first() {
  State* const states[] = {new State, new State};
  std::optional<Consumer> consumer(2);
  for (State* const state : states) consumer->add(state);
  model::thread worker([&] {
    for (State* const state : states) state->complete();
  });
  consumer->take(1);
  consumer.reset();
  worker.join();
}

void the_consumer_runs_out_of_time() {
  State* const states[] = {new State, new State};
  Consumer consumer(2);
  for (State* const state : states) consumer.add(state);
  model::thread worker([&] {
    for (State* const state : states) state->complete();
  });
  const int in_time = (consumer.next(passed) ? 1 : 0) + (consumer.next(passed) ? 1 : 0);
  consumer.take(2 - in_time);
  model::require(!consumer.next(), "more states than were added");
  worker.join();
}

void two_sets_share_a_state() {
  auto* const state = new State(3);
  auto* const leaves = Completions::make(1);
  leaves->add(state);
  Consumer stays(1);
  stays.add(state);
  model::thread worker([&] { state->complete(); });
  leaves->close();
  stays.take_all();
  worker.join();
}

/// As a worker that waits for a task which can be run only later.
class Worker final : public detail::Helper {
 public:
  explicit Worker(State& task) : task_(task) {}
  detail::Help run_one_for(detail::StateBase&) noexcept override {
    if (ran_) return detail::Help::nothing;
    if (!runnable_.load(std::memory_order_relaxed)) return detail::Help::later;
    ran_ = true;
    task_.complete();
    return detail::Help::ran;
  }
  bool wait(detail::StateBase&, Deadline) noexcept override { return false; }
  void block_on(model::atomic<std::uint32_t>& word) noexcept override {
    const std::scoped_lock lock(mutex_);
    blocked_on_ = &word;
  }
  void unblock() noexcept override {
    const std::scoped_lock lock(mutex_);
    blocked_on_ = nullptr;
  }
  Deadline wake_by(Deadline deadline) noexcept override { return deadline; }

  /// From outside.
  void make_runnable() {
    runnable_.store(true, std::memory_order_relaxed);  // the mutex hands it over
    const std::scoped_lock lock(mutex_);
    if (blocked_on_ == nullptr) return;
    blocked_on_->store(0, std::memory_order_seq_cst);
    model::futex_wake(*blocked_on_, model::max_threads, std::source_location::current());
  }

 private:
  State& task_;
  bool ran_ = false;
  model::atomic<bool> runnable_{false};
  model::mutex mutex_;
  model::atomic<std::uint32_t>* blocked_on_ = nullptr;
};

void a_worker_waits_for_what_becomes_runnable_later() {
  State* const states[] = {new State, new State};
  Worker worker(*states[0]);
  detail::current_helper = &worker;
  Consumer consumer(2);
  for (State* const state : states) consumer.add(state);
  model::thread other([&] {
    worker.make_runnable();
    states[1]->complete();
  });
  consumer.take_all();
  detail::current_helper = nullptr;
  other.join();
}

const std::vector<model::Body> all{
    one_completes_two,
    they_come_in_the_order_of_completion,
    one_was_done_before,
    the_consumer_leaves_while_one_completes,
    the_consumer_leaves_after_the_first,
    the_consumer_runs_out_of_time,
    two_sets_share_a_state,
    a_worker_waits_for_what_becomes_runnable_later,
    // From here on with three threads
    two_complete_one_each,
    the_consumer_leaves_while_two_complete,
};
constexpr std::size_t with_two_threads = 8;

const model::Options wide{.preemptions = 2, .stale_reads = 1};
const model::Options narrow{.preemptions = 1, .stale_reads = 1};

}  // namespace

TEST_CASE("a set of futures gives each once, and its consumer misses none") {
  for (std::size_t i = 0; i < all.size(); ++i) {
    // Three threads with as much as two have 38,000 executions.
    const model::Result result = model::explore(i < with_two_threads ? wide : narrow, all[i]);
    INFO(i << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("a set of futures gives each once, with more switches, at random") {
  for (const model::Body& body : all) {
    const model::Result result =
        model::explore({.preemptions = 8, .stale_reads = 8, .executions = 500, .seed = 1}, body);
    INFO(&body - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}

TEST_CASE("every order of a set of futures is needed") {
  const std::vector<model::Options> ways{
      narrow, {.preemptions = 8, .stale_reads = 8, .executions = 500, .seed = 1}};
  CHECK(model::surviving_mutations("completions.hpp", ways, all) ==
        std::vector<std::string>{
            // It only spares the next completer a wake-up of nobody
            "Completions::sleep#2 store relaxed leave_out",
        });
}
