// SPDX-License-Identifier: MIT

// The worker's deque under the model checker, with rings of one and two slots.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/work_deque.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

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
  /// Out of the middle, if nobody was faster.
  void take_out(std::size_t number, Deque::Rest rest) {
    std::int64_t looked_at = 0;
    Item& item = items_[number];
    if (deque_.take(&item, 8, rest, looked_at)) take({&item, item.ticket});
  }
  /// The newest ones down to the item of that number, which stays; at most `most`.
  void take_newest_until(std::size_t number, std::int64_t most) {
    std::array<Item*, 8> out{};
    const auto count = deque_.take_newest_until(
        [this, number](const Item& item) { return &item == &items_[number]; }, out.data(), most);
    model::require(count <= most, "more than was asked for");
    std::uint64_t newer = UINT64_MAX;
    for (std::int64_t i = 0; i < count; ++i) {
      Item& item = *out[static_cast<std::size_t>(i)];
      model::require(item.ticket > items_[number].ticket && item.ticket < newer, "not the newest");
      newer = item.ticket;
      take({&item, item.ticket});
    }
  }
  [[nodiscard]] bool empty() const { return deque_.empty(); }
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

/// `act(scene)`, by the owner of four, while thieves are at it.
template <class Act>
void under_thieves(Act act) {
  Scene scene(4);
  for (int i = 0; i < 4; ++i) scene.push();
  model::thread first([&] {
    scene.steal();
    scene.steal();
  });
  model::thread second([&] { scene.steal(); });
  act(scene);
  scene.pop();
  first.join();
  second.join();
  scene.take_the_rest();
}

template <std::size_t Number, Deque::Rest Rest>
void one_is_taken_out_under_thieves() {
  under_thieves([](Scene& scene) { scene.take_out(Number, Rest); });
}

template <std::size_t Stays, std::int64_t Most>
void the_newest_are_taken_under_thieves() {
  under_thieves([](Scene& scene) { scene.take_newest_until(Stays, Most); });
}

/// The same by the owner of two, who then pushes over what was there.
template <class Act>
void and_pushed_over(Act act) {
  Scene scene(2);
  scene.push();
  scene.push();
  model::thread thief([&] {
    scene.steal();
    scene.steal();
  });
  act(scene);
  scene.push();
  scene.push();
  thief.join();
  scene.take_the_rest();
}

void one_is_taken_out_and_pushed_over() {
  and_pushed_over([](Scene& scene) { scene.take_out(0, Deque::Rest::reversed); });
}

void the_newest_are_taken_and_pushed_over() {
  and_pushed_over([](Scene& scene) { scene.take_newest_until(0, 2); });
}

/// What `act(scene)` leaves is seen by who sets a flag and then looks, as a worker does before it
/// sleeps, or the flag by the owner.
template <class Act>
void seen_after_a_flag(int pushed, Act act) {
  Scene scene(4);
  for (int i = 0; i < pushed; ++i) scene.push();
  model::atomic<bool> asleep{false};
  bool overlooked = false;
  model::thread sleeper([&] {
    asleep.store(true, std::memory_order_seq_cst);
    overlooked = scene.empty();
  });
  act(scene);
  const bool unseen = !asleep.load(std::memory_order_seq_cst);
  sleeper.join();
  model::require(!overlooked || !unseen, "the items were overlooked, and the sleeper too");
  scene.take_the_rest();
}

void what_was_pushed_before_a_flag_is_seen_after_it() {
  seen_after_a_flag(0, [](Scene& scene) { scene.push(); });
}

void what_is_left_by_a_take_is_seen_after_a_flag() {
  seen_after_a_flag(3, [](Scene& scene) { scene.take_out(0, Deque::Rest::reversed); });
}

void what_is_left_where_a_thief_is_faster_is_seen_after_a_flag() {
  seen_after_a_flag(3, [](Scene& scene) {
    model::thread thief([&] { scene.steal(); });
    scene.take_out(0, Deque::Rest::reversed);
    thief.join();
  });
}

void what_stays_is_seen_after_a_flag() {
  seen_after_a_flag(3, [](Scene& scene) { scene.take_newest_until(1, 3); });
}

const model::Options wide{.preemptions = 2, .stale_reads = 2};
const model::Options narrow{.preemptions = 1, .stale_reads = 1};

const std::vector<model::Body> all{what_was_pushed_before_a_flag_is_seen_after_it,
                                   what_is_left_by_a_take_is_seen_after_a_flag,
                                   owner_and_thief_want_the_last,
                                   thieves_want_the_same,
                                   ring_grows_under_a_thief,
                                   slots_are_used_again_under_a_thief,
                                   one_is_taken_out_and_pushed_over,
                                   what_stays_is_seen_after_a_flag,
                                   the_newest_are_taken_and_pushed_over,
                                   what_is_left_where_a_thief_is_faster_is_seen_after_a_flag,
                                   one_is_taken_out_under_thieves<0, Deque::Rest::reversed>,
                                   one_is_taken_out_under_thieves<1, Deque::Rest::reversed>,
                                   one_is_taken_out_under_thieves<1, Deque::Rest::as_it_was>,
                                   the_newest_are_taken_under_thieves<0, 4>,
                                   the_newest_are_taken_under_thieves<2, 4>,
                                   the_newest_are_taken_under_thieves<0, 2>};
constexpr std::size_t with_two_threads = 9;

}  // namespace

TEST_CASE("the deque gives every item to exactly one of owner and thieves") {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const model::Result result = model::explore(i < with_two_threads ? wide : narrow, all[i]);
    INFO(i << ": " << result.executions << " executions; " << result.what);
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

TEST_CASE("the deque gives its owner the newest down to one that stays, at most so many") {
  std::array<Item, 6> items;
  std::array<Item*, 6> out{};
  Deque deque(8);
  const auto second_stays = [&items](const Item& item) { return &item == &items[1]; };
  CHECK(deque.take_newest_until(second_stays, out.data(), 6) == 0);
  for (Item& item : items) deque.push({&item, 7});
  CHECK(deque.take_newest_until(second_stays, out.data(), 3) == 3);
  CHECK(std::equal(out.begin(), out.begin() + 3,
                   std::array{&items[5], &items[4], &items[3]}.begin()));
  CHECK(deque.size() == 3);
  CHECK(deque.take_newest_until(second_stays, out.data(), 6) == 1);
  CHECK(out[0] == &items[2]);
  CHECK(deque.take_newest_until(second_stays, out.data(), 6) == 0);
  CHECK(deque.pop().item == &items[1]);
  CHECK(deque.take_newest_until(second_stays, out.data(), 6) == 0);  // the oldest stays
  CHECK(deque.pop().item == &items[0]);
  CHECK(deque.pop().item == nullptr);
}

TEST_CASE("every order of the deque is needed") {
  const std::vector<model::Options> ways{
      narrow, {.preemptions = 6, .stale_reads = 6, .executions = 500, .seed = 1}};
  CHECK(
      model::surviving_mutations("work_deque.hpp", ways, all) ==
      std::vector<std::string>{
          // It keeps a slot from being written before a thief has read it. The model shows no read
          // of a later write.
          "WorkDeque::push#2 load acquire weaken",
          // A thief that sees D5 acquires D3 with it, and the deque was empty from then on
          "WorkDeque::pop compare_exchange seq_cst weaken",
          // A thief that reads this value and still wins at D8 would have to win before the owner
          // lost at D5: a read of a later write
          "WorkDeque::pop#2 store release weaken",
          "WorkDeque::take compare_exchange seq_cst weaken",  // as pop: D13 and D11
          // An old top_ makes D8 fail; who sees a new one acquires the D5 or D8 that wrote it,
          // which
          // so comes before D7 in the single order
          "WorkDeque::steal load seq_cst weaken",
          "WorkDeque::empty load seq_cst weaken",  // as steal; an old top_ makes it look fuller
      });
}
