// SPDX-License-Identifier: MIT

// The model checker itself: that it sees what it is there for, and nothing else. The programs are
// the well-known litmus tests.

#include "support/model/model.hpp"

#include "support/catch.hpp"

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto acq_rel = std::memory_order_acq_rel;
constexpr auto seq_cst = std::memory_order_seq_cst;

/// Two threads each set a flag and look at the other's.
model::Result store_buffering(std::memory_order store, std::memory_order load) {
  return model::explore({}, [=] {
    model::atomic<int> x{0};
    model::atomic<int> y{0};
    int seen_by_other = 0;
    model::thread other([&] {
      x.store(1, store);
      seen_by_other = y.load(load);
    });
    y.store(1, store);
    const int seen = x.load(load);
    other.join();
    model::require(seen != 0 || seen_by_other != 0, "neither saw the other");
  });
}

/// One writes a value and sets a flag; the other sees the flag and reads the value.
model::Result message_passing(std::memory_order store, std::memory_order load) {
  return model::explore({}, [=] {
    model::plain<int> value{0};
    model::atomic<int> flag{0};
    model::thread other([&] {
      value.set(42);
      flag.store(1, store);
    });
    if (flag.load(load) == 1) model::require(value.get() == 42, "the value was not there");
    other.join();
  });
}

/// As message passing, with another operation on the flag in between.
model::Result through_a_third(bool by_read_modify_write) {
  return model::explore({}, [=] {
    model::plain<int> value{0};
    model::atomic<int> flag{0};
    model::thread writer([&] {
      value.set(42);
      flag.store(1, release);
      if (!by_read_modify_write) flag.store(2, relaxed);
    });
    model::thread adder([&] {
      int one = 1;
      if (by_read_modify_write) flag.compare_exchange_strong(one, 2, relaxed, relaxed);
    });
    if (flag.load(acquire) == 2) static_cast<void>(value.get());
    writer.join();
    adder.join();
  });
}

}  // namespace

TEST_CASE("the model lets two flags pass each other unless both are sequentially consistent") {
  CHECK(store_buffering(relaxed, relaxed).failed);
  CHECK(store_buffering(release, acquire).failed);
  CHECK(store_buffering(seq_cst, acquire).failed);
  CHECK(store_buffering(release, seq_cst).failed);
  const model::Result result = store_buffering(seq_cst, seq_cst);
  INFO(result.what);
  CHECK(!result.failed);
  CHECK(result.complete);
}

TEST_CASE("the model shows a value that is not released or not acquired") {
  CHECK(message_passing(relaxed, acquire).failed);
  CHECK(message_passing(release, relaxed).failed);
  const model::Result result = message_passing(release, acquire);
  INFO(result.what);
  CHECK(!result.failed);
}

TEST_CASE("in the model a read-modify-write continues a release sequence and a store does not") {
  CHECK(!through_a_third(true).failed);
  CHECK(through_a_third(false).failed);
}

TEST_CASE("in the model a compare_exchange fails on an older value if that is asked for") {
  const auto increment_after_a_flag = [](bool stale_failures, std::memory_order order) {
    return model::explore({.stale_failures = stale_failures}, [=] {
      model::atomic<int> x{0};
      model::atomic<int> flag{0};
      model::thread other([&] {
        x.store(1, relaxed);
        flag.store(1, release);
      });
      if (flag.load(order) == 1) {
        int one = 1;
        model::require(x.compare_exchange_strong(one, 2, relaxed, relaxed), "an older value");
      }
      other.join();
    });
  };
  CHECK(increment_after_a_flag(true, relaxed).failed);
  CHECK(!increment_after_a_flag(true, acquire).failed);
  CHECK(!increment_after_a_flag(false, relaxed).failed);
}

TEST_CASE("the model keeps the order of each atomic's values") {
  const model::Result result = model::explore({.stale_reads = 4}, [] {
    model::atomic<int> x{0};
    model::thread writer([&] {
      x.store(1, relaxed);
      x.store(2, relaxed);
    });
    const int first = x.load(relaxed);
    const int second = x.load(relaxed);
    model::require(first <= second, "went back in time");
    writer.join();
    model::require(x.load(relaxed) == 2, "not the last value after join");
  });
  INFO(result.what);
  CHECK(!result.failed);
}

TEST_CASE("the model finds an increment that is lost between a load and a store") {
  const auto count_to_two = [](bool atomically) {
    return model::explore({}, [=] {
      model::atomic<int> x{0};
      const auto increment = [&] {
        if (atomically) {
          x.fetch_add(1, relaxed);
        } else {
          x.store(x.load(seq_cst) + 1, seq_cst);
        }
      };
      model::thread other(increment);
      increment();
      other.join();
      model::require(x.load(relaxed) == 2, "an increment was lost");
    });
  };
  CHECK(count_to_two(false).failed);
  CHECK(!count_to_two(true).failed);
}

TEST_CASE("the model finds a wake-up that comes before the sleep") {
  const auto sleep_and_wake = [](bool looks_at_the_word) {
    return model::explore({}, [=] {
      model::atomic<std::uint32_t> word{0};
      model::thread other([&] {
        word.store(1, seq_cst);
        model::futex_wake(word, 1, std::source_location::current());
      });
      if (looks_at_the_word) {
        while (word.load(acquire) == 0) {
          model::futex_wait(word, 0, std::source_location::current());
        }
      } else {
        const std::uint32_t seen = word.load(acquire);
        if (seen == 0) model::futex_wait(word, word.load(acquire), std::source_location::current());
      }
      other.join();
    });
  };
  const model::Result lost = sleep_and_wake(false);
  CHECK(lost.failed);
  CHECK_THAT(lost.what, support::matchers::starts_with("deadlock"));
  const model::Result kept = sleep_and_wake(true);
  INFO(kept.what);
  CHECK(!kept.failed);
}

TEST_CASE("the model finds two mutexes that are locked in opposite orders") {
  const auto lock_both = [](bool in_the_same_order) {
    return model::explore({}, [=] {
      model::mutex first;
      model::mutex second;
      model::plain<int> value{0};
      const auto work = [&](model::mutex& outer, model::mutex& inner) {
        outer.lock();
        inner.lock();
        value.set(value.get() + 1);
        inner.unlock();
        outer.unlock();
      };
      model::thread other([&] { work(first, second); });
      if (in_the_same_order) {
        work(first, second);
      } else {
        work(second, first);
      }
      other.join();
    });
  };
  CHECK(lock_both(false).failed);
  const model::Result result = lock_both(true);
  INFO(result.what);
  CHECK(!result.failed);
}

TEST_CASE("the model finds threads that wait for each other by spinning") {
  const model::Result result = model::explore({.preemptions = 1}, [] {
    model::atomic<int> mine{0};
    model::atomic<int> yours{0};
    model::thread other([&] {
      while (mine.load(acquire) == 0) model::yield();
      yours.store(1, release);
    });
    while (yours.load(acquire) == 0) model::yield();
    mine.store(1, release);
    other.join();
  });
  CHECK(result.failed);
  CHECK_THAT(result.what, support::matchers::starts_with("livelock"));
}

TEST_CASE("the model finds the same with a seed, and the same each time with the same seed") {
  const auto unordered = [] {
    model::plain<int> value{0};
    model::atomic<int> flag{0};
    model::thread other([&] {
      value.set(42);
      flag.store(1, relaxed);
    });
    if (flag.load(acquire) == 1) static_cast<void>(value.get());
    other.join();
  };
  const model::Result once = model::explore({.executions = 1000, .seed = 7}, unordered);
  const model::Result again = model::explore({.executions = 1000, .seed = 7}, unordered);
  CHECK(once.failed);
  CHECK(once.executions == again.executions);
  CHECK(once.what == again.what);
}

TEST_CASE("a mutation of the model changes one operation of the source") {
  const auto passing = [] {
    model::plain<int> value{0};
    model::atomic<int> flag{0};
    model::thread other([&] {
      value.set(42);
      flag.exchange(1, acq_rel);
    });
    if (flag.load(acquire) == 1) static_cast<void>(value.get());
    other.join();
  };
  const model::Result plain = model::explore({}, passing);
  REQUIRE(!plain.failed);
  REQUIRE(plain.sites.size() == 2);
  for (const model::Site& site : plain.sites) {
    INFO(site.function << ' ' << name_of(site.operation));
    CHECK(model::explore({.mutation = {site, model::Change::weaken}}, passing).failed);
  }
}

TEST_CASE("the model finds an atomic that is destroyed under another thread") {
  const auto two_owners = [](std::memory_order order) {
    return model::explore({}, [=] {
      struct Shared {
        model::atomic<int> value{0};
        model::atomic<int> owners{2};
      };
      auto* const shared = new Shared;
      const auto let_go = [=] {
        shared->value.store(1, relaxed);
        if (shared->owners.fetch_sub(1, order) == 1) delete shared;
      };
      model::thread other(let_go);
      let_go();
      other.join();
    });
  };
  CHECK(two_owners(acquire).failed);
  CHECK(two_owners(release).failed);
  const model::Result result = two_owners(acq_rel);
  INFO(result.what);
  CHECK(!result.failed);
}

TEST_CASE("the model finds an atomic that is never destroyed") {
  const model::Result result = model::explore({}, [] {
    static std::vector<model::atomic<int>*> kept;  // so that only the model calls it a leak
    kept.push_back(new model::atomic<int>(0));
  });
  CHECK(result.failed);
  CHECK_THAT(result.what, support::matchers::starts_with("a leak"));
}

TEST_CASE("the model finds a body that does not repeat itself") {
  int execution = 0;
  const model::Result result = model::explore({}, [&] {
    model::atomic<int> x{0};
    ++execution;
    model::thread other([&] { x.store(1, relaxed); });
    if (execution == 1) static_cast<void>(x.load(relaxed));
    model::thread another([&] { x.store(2, relaxed); });
    other.join();
    another.join();
  });
  CHECK(result.failed);
  CHECK_THAT(result.what, support::matchers::starts_with("the body did something else"));
}
