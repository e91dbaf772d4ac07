// SPDX-License-Identifier: MIT

// The pool's queue under the model checker, with segments of one and two items and two copies
// beside the tail, and with four of both; links and slots are watched for races.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/task_queue.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

struct Item {
  model::plain<int> content{0};
  int producer = 0;
  int number = 0;  // among those of its producer
  bool accepted = false;
  int taken = 0;
};

template <std::size_t SegmentSize>
using Queue = concurrent::futures::detail::TaskQueue<Item, SegmentSize, model::plain>;

/// Every item that is accepted comes out once, those of a producer in their order, and whoever
/// takes one sees what its producer wrote.
template <std::size_t SegmentSize>
class Scene {
 public:
  /// True when it was accepted.
  bool push(int producer = 0, std::size_t limit = Queue<SegmentSize>::unbounded) {
    Item& item = next_item(producer);
    const auto outcome = queue_.push(&item, limit);
    item.accepted = outcome == Queue<SegmentSize>::Push::done;
    return item.accepted;
  }
  void push_accepted(int producer = 0) {
    Item& item = next_item(producer);
    queue_.push_accepted(&item);
    item.accepted = true;
  }
  /// What one consumer takes: its numbers of each producer must grow.
  class Consumer {
   public:
    explicit Consumer(Scene& scene) : scene_(scene) {}
    bool pop() {
      Item* const item = scene_.queue_.pop();
      if (item == nullptr) return false;
      ++item->taken;
      model::require(item->content.get() == 1, "an item that was not whole");
      item->content.set(2);
      int& last = last_[item->producer];
      model::require(item->number > last, "a producer's items in another order");
      last = item->number;
      return true;
    }

   private:
    Scene& scene_;
    int last_[2] = {};
  };
  void close() { queue_.close(); }
  void take_the_rest(Consumer& consumer) {
    while (consumer.pop()) {
    }
    model::require(queue_.empty() && queue_.size() == 0, "something is left");
    for (const auto& items : items_) {
      for (const Item& item : items) {
        model::require(item.taken == (item.accepted ? 1 : 0), "accepted and not taken once");
      }
    }
  }
  [[nodiscard]] const Queue<SegmentSize>& queue() const { return queue_; }

 private:
  Item& next_item(int producer) {
    Item& item = items_[producer][made_[producer]];
    item.content.set(1);
    item.producer = producer;
    item.number = ++made_[producer];
    return item;
  }

  Item items_[2][6];
  int made_[2] = {};
  Queue<SegmentSize> queue_;
};

void two_produce_and_one_consumes() {
  Scene<2> scene;
  Scene<2>::Consumer consumer(scene);
  model::thread other([&] {
    scene.push(1);
    scene.push(1);
  });
  model::thread taker([&] {
    consumer.pop();
    consumer.pop();
  });
  scene.push(0);
  scene.push(0);
  other.join();
  taker.join();
  scene.take_the_rest(consumer);
}

void a_consumer_falls_behind() {
  // It begins with copies and goes on with slots, or the producer overtakes it.
  Scene<4> scene;
  Scene<4>::Consumer consumer(scene);
  scene.push();
  model::thread taker([&] {
    consumer.pop();
    consumer.pop();
    consumer.pop();
  });
  for (int i = 0; i < 5; ++i) scene.push();
  taker.join();
  scene.take_the_rest(consumer);
}

void one_produces_and_two_consume() {
  Scene<1> scene;
  scene.push();
  model::thread one([&] { Scene<1>::Consumer(scene).pop(); });
  model::thread other([&] { Scene<1>::Consumer(scene).pop(); });
  scene.push();
  one.join();
  other.join();
  Scene<1>::Consumer rest(scene);
  scene.take_the_rest(rest);
}

void segments_are_used_again_under_a_consumer() {
  Scene<1> scene;
  Scene<1>::Consumer consumer(scene);
  scene.push();
  scene.push();
  model::thread taker([&] {
    consumer.pop();
    consumer.pop();
    consumer.pop();
  });
  scene.push();
  scene.push();
  taker.join();
  scene.take_the_rest(consumer);
}

void one_closes_while_the_other_pushes() {
  Scene<1> scene;
  Scene<1>::Consumer consumer(scene);
  bool accepted[2] = {};
  model::plain<bool> closed{false};
  model::thread producer([&] {
    accepted[0] = scene.push();
    accepted[1] = scene.push();
    // Who is refused sees what was done before closing.
    if (!accepted[1]) model::require(closed.get(), "refused by a queue that is open");
    scene.push_accepted();
  });
  closed.set(true);
  scene.close();
  consumer.pop();
  model::require(!scene.push(1), "accepted by a closed queue");
  producer.join();
  model::require(accepted[0] || !accepted[1], "refused and then accepted");
  scene.take_the_rest(consumer);
}

void two_want_the_last_place() {
  Scene<2> scene;
  Scene<2>::Consumer consumer(scene);
  bool accepted = false;
  scene.push(0, 2);
  model::thread other([&] { accepted = scene.push(1, 2); });
  const bool mine = scene.push(0, 2);
  other.join();
  model::require(mine != accepted, "two in one place, or one in none");
  scene.take_the_rest(consumer);
}

void a_place_becomes_free() {
  Scene<2> scene;
  Scene<2>::Consumer consumer(scene);
  scene.push(0, 1);
  model::thread taker([&] { consumer.pop(); });
  const bool before = scene.push(0, 1);
  taker.join();
  model::require(before != scene.push(0, 1), "not one place");
  scene.take_the_rest(consumer);
}

void what_was_pushed_before_a_flag_is_seen_after_it() {
  // As a worker's last look before it sleeps.
  Scene<2> scene;
  Scene<2>::Consumer consumer(scene);
  model::atomic<bool> asleep{false};
  bool overlooked = false;
  model::thread sleeper([&] {
    asleep.store(true, std::memory_order_seq_cst);
    overlooked = scene.queue().empty();
  });
  scene.push();
  const bool unseen = !asleep.load(std::memory_order_seq_cst);
  sleeper.join();
  model::require(!overlooked || !unseen, "the item was overlooked, and the sleeper too");
  scene.take_the_rest(consumer);
}

const std::vector<model::Body> all{
    what_was_pushed_before_a_flag_is_seen_after_it,
    two_want_the_last_place,
    a_place_becomes_free,
    one_closes_while_the_other_pushes,
    segments_are_used_again_under_a_consumer,
    one_produces_and_two_consume,
    a_consumer_falls_behind,
    two_produce_and_one_consumes,
};

const std::vector<model::Options> ways{
    {.preemptions = 1, .stale_reads = 1},
    {.preemptions = 8, .stale_reads = 8, .executions = 500, .seed = 1},
    {},
};

}  // namespace

TEST_CASE("the queue gives every accepted item once and in its producer's order") {
  for (const model::Body& body : all) {
    const model::Result result = model::explore({}, body);
    INFO(&body - all.data() << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("the queue gives every accepted item once, with more switches, at random") {
  for (const model::Body& body : all) {
    const model::Result result =
        model::explore({.preemptions = 8, .stale_reads = 8, .executions = 200, .seed = 1}, body);
    INFO(&body - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}

TEST_CASE("every order of the queue is needed") {
  CHECK(model::surviving_mutations("task_queue.hpp", ways, all) == std::vector<std::string>{});
}

TEST_CASE("every order of the queue's lock is needed") {
  CHECK(model::surviving_mutations("spin_lock.hpp", ways, all) == std::vector<std::string>{});
}
