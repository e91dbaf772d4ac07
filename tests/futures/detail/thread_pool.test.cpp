// SPDX-License-Identifier: MIT

// The whole thread pool under the model checker: its engine as it is, with threads of the model.
// None of these hangs anything on a future (as_completed, then): such a list's mutex depends on the
// future's address, so that executions would not repeat.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/thread_pool.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

using concurrent::futures::Future;
using concurrent::futures::ShutdownError;
using concurrent::futures::ThreadPoolExecutor;
using concurrent::futures::WhenFull;

template <std::size_t Workers>
void two_tasks() {
  ThreadPoolExecutor pool(Workers);
  const auto one = pool.submit([] { return model::plain<int>(1); });
  const auto other = pool.submit([] { return model::plain<int>(2); });
  model::require(other.result().get() == 2 && one.result().get() == 1, "another value");
}

template <std::size_t Workers>
void two_producers() {
  ThreadPoolExecutor pool(Workers);
  const auto submit = [&] {
    const auto future = pool.submit([] { return model::plain<int>(1); });
    model::require(future.result().get() == 1, "another value");
  };
  model::thread other(submit);
  submit();
  other.join();
}

template <std::size_t Workers>
void a_task_waits_for_its_own() {
  ThreadPoolExecutor pool(Workers);
  const auto outer = pool.submit([&pool] {
    const auto inner = pool.submit([] { return model::plain<int>(20); });
    return model::plain<int>(inner.result().get() + 1);
  });
  model::require(outer.result().get() == 21, "another value");
}

void a_submit_meets_a_worker_that_goes_to_sleep() {
  ThreadPoolExecutor pool(1);
  for (int i = 0; i < 3; ++i) {
    const auto future = pool.submit([i] { return model::plain<int>(i); });
    model::require(future.result().get() == i, "another value");
  }
}

void a_submit_meets_the_end() {
  ThreadPoolExecutor pool(1);
  int accepted = 0;
  model::plain<int> ran{0};
  model::thread other([&] {
    try {
      const auto future = pool.submit([&] { ran.set(ran.get() + 1); });
      accepted = 1;
      future.result();
    } catch (const ShutdownError&) {
    }
  });
  pool.shutdown();
  other.join();
  model::require(ran.get() == accepted, "accepted and not run, or refused and run");
}

void a_cancelling_end_meets_a_start() {
  ThreadPoolExecutor pool(1);
  model::plain<int> ran{0};
  const auto future = pool.submit([&] { ran.set(1); });
  pool.shutdown(true, true);
  model::require(future.done(), "neither run nor cancelled");
  model::require(future.cancelled() == (ran.get() == 0), "run and cancelled, or neither");
}

void a_cancel_meets_a_start() {
  ThreadPoolExecutor pool(1);
  model::plain<int> ran{0};
  auto future = pool.submit([&] { ran.set(1); });
  const bool cancelled = future.cancel();
  pool.shutdown();
  model::require(cancelled == (ran.get() == 0), "run and cancelled, or neither");
}

void one_waits_until_the_pool_is_idle() {
  ThreadPoolExecutor pool(2);
  model::plain<int> ran{0};
  pool.post([&] { pool.post([&] { ran.set(1); }); });
  pool.wait_idle();
  model::require(ran.get() == 1, "idle before the last task");
}

void one_waits_for_room() {
  ThreadPoolExecutor pool({.max_workers = 1, .max_pending = 1, .when_full = WhenFull::block});
  model::plain<int> ran{0};
  for (int i = 0; i < 3; ++i) {
    pool.post([&] { ran.set(ran.get() + 1); });
  }
  pool.shutdown();
  model::require(ran.get() == 3, "not all of them ran");
}

const std::vector<model::Body> all{
    a_submit_meets_a_worker_that_goes_to_sleep,
    two_tasks<1>,
    a_task_waits_for_its_own<1>,
    a_submit_meets_the_end,
    a_cancelling_end_meets_a_start,
    a_cancel_meets_a_start,
    one_waits_for_room,
    // From here on with more threads than all executions can be run of in a test's time
    two_producers<1>,
    two_tasks<2>,
    a_task_waits_for_its_own<2>,
    one_waits_until_the_pool_is_idle,
    two_producers<2>,
};
constexpr std::size_t small = 7;

}  // namespace

TEST_CASE("the thread pool loses nothing in the model") {
  for (std::size_t i = 0; i < small; ++i) {
    const model::Result result = model::explore({.preemptions = 1, .stale_reads = 1}, all[i]);
    INFO(i << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("the thread pool loses nothing in the model, with more switches, at random") {
  for (const model::Body& body : all) {
    const model::Result result =
        model::explore({.preemptions = 8, .stale_reads = 8, .executions = 200, .seed = 1}, body);
    INFO(&body - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}
