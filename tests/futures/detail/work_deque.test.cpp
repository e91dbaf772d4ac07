// SPDX-License-Identifier: MIT

// The worker's deque under the model checker, with rings of one and two slots.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/work_deque.hpp>

#include "support/catch.hpp"

namespace {

struct Item {
  model::plain<int> content{0};
  std::uint64_t ticket = 0;
  int taken = 0;
};

using Deque = concurrent::futures::detail::WorkDeque<Item>;

/// Everything that goes in comes out once, and whoever takes it sees what its producer wrote.
class Scene {
 public:
  explicit Scene(std::size_t ring) : deque_(ring) {}

  void push() {
    Item& item = items_[pushed_++];
    item.content.set(1);
    item.ticket = 10 + pushed_;
    deque_.push({&item, item.ticket});
  }
  bool pop() { return take(deque_.pop()); }
  bool steal() { return take(deque_.steal()); }
  void take_the_rest() {
    while (pop()) {
    }
    model::require(deque_.empty(), "something is left");
    for (std::size_t i = 0; i < pushed_; ++i) {
      model::require(items_[i].taken == 1, "an item was not taken exactly once");
    }
  }

 private:
  static bool take(Deque::Entry entry) {
    if (entry.item == nullptr) return false;
    ++entry.item->taken;
    model::require(entry.ticket == entry.item->ticket, "an item with the ticket of another");
    entry.item->content.set(entry.item->content.get() + 1);
    return true;
  }

  std::array<Item, 8> items_;
  std::size_t pushed_ = 0;
  Deque deque_;
};

void owner_and_thief_want_the_last() {
  Scene scene(2);
  model::thread thief([&] {
    scene.steal();
    scene.steal();
  });
  scene.push();
  scene.push();
  scene.pop();
  scene.pop();
  thief.join();
  scene.take_the_rest();
}

void thieves_want_the_same() {
  Scene scene(2);
  scene.push();
  scene.push();
  model::thread first([&] { scene.steal(); });
  model::thread second([&] { scene.steal(); });
  scene.pop();
  first.join();
  second.join();
  scene.take_the_rest();
}

void ring_grows_under_a_thief() {
  Scene scene(1);
  model::thread thief([&] {
    scene.steal();
    scene.steal();
  });
  scene.push();
  scene.push();
  scene.push();
  scene.pop();
  thief.join();
  scene.take_the_rest();
}

void slots_are_used_again_under_a_thief() {
  Scene scene(1);
  model::thread thief([&] {
    scene.steal();
    scene.steal();
  });
  for (int i = 0; i < 3; ++i) {
    scene.push();
    scene.pop();
  }
  thief.join();
  scene.take_the_rest();
}

}  // namespace

TEST_CASE("the deque gives every item to exactly one of owner and thieves") {
  for (const auto& scene : {owner_and_thief_want_the_last, thieves_want_the_same,
                            ring_grows_under_a_thief, slots_are_used_again_under_a_thief}) {
    // All executions with two of each take minutes.
    const model::Result result = model::explore({.preemptions = 1, .stale_reads = 1}, scene);
    INFO(result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("the deque gives every item to exactly one, with more switches, at random") {
  const model::Result result = model::explore(
      {.preemptions = 6, .stale_reads = 6, .executions = 300, .seed = 1}, ring_grows_under_a_thief);
  INFO(result.what);
  CHECK(!result.failed);
}

TEST_CASE("the deque gives its owner the newest and a thief the oldest") {
  std::array<Item, 3> items;
  Deque deque(2);
  for (Item& item : items) deque.push({&item, 7});
  CHECK(deque.steal().item == &items[0]);
  CHECK(deque.pop().item == &items[2]);
  CHECK(deque.pop().item == &items[1]);
  CHECK(deque.pop().item == nullptr);
  CHECK(deque.steal().item == nullptr);
}
