// SPDX-License-Identifier: MIT

// The shared state of a future under the model checker: claiming, publishing, sleeping, the list of
// continuations, and references.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/state.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

namespace detail = concurrent::futures::detail;
using detail::Phase;
using Value = model::plain<int>;

class State : public detail::State<Value> {
 public:
  explicit State(std::uint32_t references = 1) : detail::State<Value>(references) {}
  void discard() noexcept override { discarded.set(discarded.get() + 1); }
  /// As a worker does with a task that it claimed.
  void run() {
    store_value(42);
    publish(Phase::value);
  }
  void expect_value() {
    model::require(phase() == Phase::value, "not done");
    expect_value_without_a_look();
  }
  /// For whom something else has told that it is done.
  void expect_value_without_a_look() { model::require(value().get() == 42, "another value"); }

  model::plain<int> discarded{0};
};

/// What hangs on a state. Whoever fires it must see what was there when it was added, and the
/// value.
class Node : public detail::Continuation {
 public:
  explicit Node(Kind kind = Kind::waiter) : kind_(kind) {}
  void fire(detail::StateBase& source) noexcept override {
    model::require(given.get() == 7, "a node that was not whole");
    if (source.phase() == Phase::value) static_cast<State&>(source).expect_value();
    fired.fetch_add(1, std::memory_order_release);
  }
  [[nodiscard]] Kind kind() const noexcept override { return kind_; }
  void prepare() { given.set(7); }
  [[nodiscard]] int times_fired() const { return fired.load(std::memory_order_acquire); }

  model::plain<int> given{0};
  model::atomic<int> fired{0};

 private:
  Kind kind_;
};

using Ref = detail::StateRef<State>;

void add(State& state, Node& node) {
  node.prepare();
  if (state.add(node)) return;
  model::require(state.phase() == Phase::value, "refused as done, and not seen to be done");
  node.fire(state);
}

// Claim, publish, sleep

void one_sleeps_until_the_other_publishes() {
  const Ref state(new State);
  model::thread worker([&] {
    if (state->claim(Phase::executing)) state->run();
  });
  model::require(state->wait({}), "no longer waiting, and not done");
  state->expect_value_without_a_look();
  worker.join();
}

void two_sleep_until_the_third_publishes() {
  const Ref state(new State);
  const auto wait = [&] {
    state->wait({});
    state->expect_value_without_a_look();
  };
  model::thread one(wait);
  model::thread other(wait);
  state->claim(Phase::executing);
  state->run();
  one.join();
  other.join();
}

void one_runs_what_the_other_cancels() {
  const Ref state(new State);
  bool ran = false;
  model::thread worker([&] {
    if (!state->claim(Phase::executing)) return;
    ran = true;
    state->run();
  });
  const bool cancelled = state->cancel();
  worker.join();
  model::require(ran != cancelled, "not exactly one outcome");
  model::require(state->discarded.get() == (cancelled ? 1 : 0), "not discarded exactly once");
  model::require(state->phase() == (ran ? Phase::value : Phase::cancelled), "another outcome");
}

void two_cancel() {
  const Ref state(new State);
  bool other_cancelled = false;
  model::thread other([&] {
    other_cancelled = state->cancel();
    model::require(state->phase() == Phase::cancelled, "cancelled, and not done");
  });
  const bool cancelled = state->cancel();
  model::require(state->phase() == Phase::cancelled, "cancelled, and not done");
  other.join();
  model::require(cancelled && other_cancelled, "cancelled, and told otherwise");
  model::require(state->discarded.get() == 1, "not discarded exactly once");
}

void a_claim_is_given_back() {
  const Ref state(new State);
  model::plain<int> attempts{0};
  model::thread first([&] {
    if (!state->claim(Phase::setting)) return;
    attempts.set(attempts.get() + 1);
    state->restore(Phase::pending);
  });
  if (state->claim(Phase::setting)) {
    attempts.set(attempts.get() + 1);
    state->run();
  }
  model::thread sleeper([&] {
    if (state->done()) state->expect_value();
  });
  first.join();
  sleeper.join();
}

void one_sleeps_while_a_claim_is_given_back() {
  const Ref state(new State);
  state->claim(Phase::setting);
  model::thread sleeper([&] {
    state->wait({});
    state->expect_value_without_a_look();
  });
  state->restore(Phase::pending);
  model::require(state->claim(Phase::setting), "pending, and not to be claimed");
  state->run();
  sleeper.join();
}

// Continuations

void one_adds_while_the_other_publishes() {
  const Ref state(new State);
  Node node;
  model::thread worker([&] {
    state->claim(Phase::executing);
    state->run();
  });
  add(*state, node);
  worker.join();
  model::require(node.times_fired() == 1, "not fired exactly once");
}

void one_adds_while_the_other_publishes_in_turn() {
  const Ref state(new State);
  Node node;
  model::thread worker([&] {
    state->claim(Phase::executing);
    state->store_value(42);
    state->publish_in_turn(Phase::value);
  });
  add(*state, node);
  worker.join();
  model::require(node.times_fired() == 1, "not fired exactly once");
}

void two_add_while_the_third_publishes() {
  const Ref state(new State);
  Node nodes[2];
  model::thread one([&] { add(*state, nodes[0]); });
  model::thread other([&] { add(*state, nodes[1]); });
  state->claim(Phase::executing);
  state->run();
  one.join();
  other.join();
  for (const Node& node : nodes) model::require(node.times_fired() == 1, "not fired exactly once");
}

void one_takes_back_while_the_other_publishes() {
  const Ref state(new State);
  Node nodes[3];
  for (Node& node : nodes) {
    node.prepare();
    state->add(node);
  }
  model::thread worker([&] {
    state->claim(Phase::executing);
    state->run();
  });
  const bool back[] = {state->remove(nodes[1]), state->remove(nodes[2])};
  worker.join();
  model::require(nodes[0].times_fired() == 1, "not fired exactly once");
  for (int i : {0, 1}) {
    model::require(nodes[i + 1].times_fired() == (back[i] ? 0 : 1), "taken back and fired");
  }
}

void one_takes_back_while_the_other_adds() {
  const Ref state(new State);
  Node nodes[3];
  for (int i : {0, 1}) {
    nodes[i].prepare();
    state->add(nodes[i]);
  }
  model::thread adder([&] { add(*state, nodes[2]); });
  model::require(state->remove(nodes[1]), "nobody fired it, and it was gone");
  model::require(state->remove(nodes[0]), "nobody fired it, and it was gone");
  adder.join();
  state->claim(Phase::executing);
  state->run();
  model::require(nodes[2].times_fired() == 1, "a node was lost");
  model::require(nodes[0].times_fired() + nodes[1].times_fired() == 0, "taken back and fired");
}

void two_take_back_while_the_third_publishes() {
  const Ref state(new State);
  Node nodes[2];
  for (Node& node : nodes) {
    node.prepare();
    state->add(node);
  }
  bool back[2] = {};
  model::thread one([&] { back[0] = state->remove(nodes[0]); });
  model::thread other([&] { back[1] = state->remove(nodes[1]); });
  state->claim(Phase::executing);
  state->run();
  one.join();
  other.join();
  for (int i : {0, 1}) {
    model::require(nodes[i].times_fired() == (back[i] ? 0 : 1), "taken back and fired, or lost");
  }
}

// References

void two_owners_let_go() {
  auto* const state = new State(2);
  model::thread other([&] {
    static_cast<void>(state->discarded.get());
    state->release();
  });
  state->claim(Phase::executing);
  state->run();
  state->release();
  other.join();
}

void the_last_owner_of_a_done_state_is_not_the_one_that_made_it() {
  auto* const state = new State(2);
  model::thread other([&] {
    state->claim(Phase::executing);
    state->run();
    static_cast<void>(state->discarded.get());
    state->release();
  });
  while (!state->done()) model::yield();
  state->release();
  other.join();
}

void the_last_owner_of_a_pending_state_cancels_it() {
  auto* const state = new State(2);
  Node node(detail::Continuation::Kind::callback);
  node.prepare();
  state->add(node);
  model::thread other([&] { state->release(); });
  state->release();
  other.join();
  model::require(node.times_fired() == 1, "what hangs on an abandoned state was forgotten");
}

void one_looks_for_a_state_that_the_other_lets_go() {
  // As a continuation points to its source: under a lock, and not beyond its end.
  auto* state = new State(1);
  model::mutex lock;
  state->claim(Phase::executing);
  model::thread seeker([&] {
    State* found = nullptr;
    {
      const std::scoped_lock guard(lock);
      if (state != nullptr && state->try_add_reference()) found = state;
    }
    if (found == nullptr) return;
    static_cast<void>(found->discarded.get());
    found->release();
  });
  State* mine = state;
  {
    const std::scoped_lock guard(lock);
    state = nullptr;
  }
  mine->run();
  mine->release();
  seeker.join();
}

const std::vector<model::Body> all{
    one_sleeps_until_the_other_publishes,
    two_sleep_until_the_third_publishes,
    one_runs_what_the_other_cancels,
    two_cancel,
    a_claim_is_given_back,
    one_sleeps_while_a_claim_is_given_back,
    one_adds_while_the_other_publishes,
    one_adds_while_the_other_publishes_in_turn,
    two_add_while_the_third_publishes,
    one_takes_back_while_the_other_publishes,
    one_takes_back_while_the_other_adds,
    two_take_back_while_the_third_publishes,
    two_owners_let_go,
    the_last_owner_of_a_done_state_is_not_the_one_that_made_it,
    the_last_owner_of_a_pending_state_cancels_it,
    one_looks_for_a_state_that_the_other_lets_go,
};

}  // namespace

TEST_CASE(
    "claiming, publishing, sleeping and continuations of a future's state hold in the model") {
  for (const model::Body& body : all) {
    const model::Result result = model::explore({}, body);
    INFO(&body - all.data() << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("a future's state holds in the model with more switches, at random") {
  for (const model::Body& body : all) {
    const model::Result result =
        model::explore({.preemptions = 8, .stale_reads = 8, .executions = 100, .seed = 1}, body);
    INFO(&body - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}

TEST_CASE("every order of a future's state is needed") {
  const std::vector<model::Options> ways{
      {.preemptions = 1, .stale_reads = 1},
      {.preemptions = 8, .stale_reads = 8, .executions = 600, .seed = 1},
  };
  CHECK(model::surviving_mutations("state.hpp", ways, all) ==
        std::vector<std::string>{
            // They are for the links between nodes, plain memory that the model does not watch
            "StateBase::unlink load acquire weaken",
            "StateBase::unlink compare_exchange acquire weaken",
            "StateBase::unlink compare_exchange acquire weaken_failure",
            // Only its failure needs it
            "StateBase::wait compare_exchange acquire weaken",
        });
}
