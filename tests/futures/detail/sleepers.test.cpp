// SPDX-License-Identifier: MIT

// How workers sleep and are woken, under the model checker: the sleepers with the pool's queue and
// a deque, in a pool that is reduced to what the protocol speaks of. Its functions are those of the
// engine, and do the same in the same order.

#include "support/model/under_model.hpp"
//
#include <concurrent/futures/detail/sleepers.hpp>
#include <concurrent/futures/detail/task_queue.hpp>
#include <concurrent/futures/detail/work_deque.hpp>

#include "support/catch.hpp"
#include "support/model/mutations.hpp"

namespace {

namespace detail = concurrent::futures::detail;
using concurrent::detail::Deadline;
using detail::Sleepers;

class Pool;

struct Worker {
  Sleepers::Seat seat;
  bool searching = false;
  bool times_out = false;  // its next sleep ends at once
  model::thread thread;
};

struct Task {
  std::function<void(Worker&)> body;
  model::plain<int> content{0};
  int ran = 0;
};

/// Ends when the last of `expected` tasks has run; until then, who sleeps for ever was forgotten.
class Pool {
 public:
  explicit Pool(int expected) : expected_(expected) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (Worker& worker : workers_) {
      if (worker.thread.joinable()) worker.thread.join();
    }
    model::require(queue_.empty() && deque_.empty(), "a task is left");
    model::require(sleepers_.searching() == 0, "somebody still counts as searching");
    model::require(sleepers_.sleeping() == 0, "somebody still counts as sleeping");
    for (const Task& task : tasks_) {
      model::require(task.ran == (task.content.get() == 0 ? 0 : 1), "a task did not run once");
    }
  }

  void start(int count, bool first_times_out = false) {
    workers_[0].times_out = first_times_out;
    for (int i = 0; i < count; ++i) {
      workers_[i].searching = true;
      sleepers_.begin_search();
      workers_[i].thread = model::thread([this, i] { main_of(workers_[i]); });
    }
  }
  void submit(std::function<void(Worker&)> body = {}) {
    queue_.push(&make(std::move(body)));  // Z1
    notify();
  }
  /// Into the deque of the first worker, by whom it is called.
  void submit_nested(std::function<void(Worker&)> body = {}) {
    deque_.push({&make(std::move(body)), 0});  // Z1
    notify();
  }
  void shutdown() {
    shut_.store(true, std::memory_order_seq_cst);
    sleepers_.wake_all();
  }
  Worker& first() { return workers_[0]; }

 private:
  Task& make(std::function<void(Worker&)> body) {
    // Which task it is does not matter; the counter is no part of what is tested.
    Task& task = tasks_[made_++];
    task.body = std::move(body);
    task.content.set(1);
    return task;
  }
  void notify() {
    if (sleepers_.searching() != 0) return;  // Z2
    if (sleepers_.sleeping() != 0) sleepers_.wake_one();
  }
  bool has_work() { return !queue_.looks_empty() || !queue_.empty() || !deque_.empty(); }
  bool may_leave() { return shut_.load(std::memory_order_seq_cst) && !has_work(); }
  Task* next() {
    if (Task* const task = queue_.pop(); task != nullptr) return task;
    while (!deque_.empty()) {
      if (Task* const task = deque_.steal().item; task != nullptr) return task;
    }
    return nullptr;
  }
  void begin_search(Worker& worker) {
    if (worker.searching) return;
    worker.searching = true;
    sleepers_.begin_search();  // Z4
  }
  void end_search(Worker& worker) {
    if (!std::exchange(worker.searching, false)) return;
    if (sleepers_.end_search() && has_work()) notify();  // Z5
  }
  bool sleep(Worker& worker) {
    sleepers_.sit_down(worker.seat);  // Z6
    sleepers_.end_search();           // Z7
    if (has_work() || may_leave()) {  // Z8
      sleepers_.get_up(worker.seat);
      return has_work() || !may_leave();
    }
    const bool times_out = std::exchange(worker.times_out, false);
    sleepers_.sleep(worker.seat, times_out ? Deadline(Deadline::Clock::time_point()) : Deadline());
    return true;
  }
  void run(Task& task, Worker& worker) {
    ++task.ran;
    model::require(task.content.get() == 1, "a task that was not whole");
    if (task.body) task.body(worker);
    if (!has_work()) begin_search(worker);
    if (ran_.fetch_add(1, std::memory_order_relaxed) + 1 == expected_) shutdown();
  }
  void main_of(Worker& worker) {
    for (;;) {
      Task* task = next();
      if (task == nullptr) {
        begin_search(worker);
        task = next();
      }
      if (task == nullptr) {
        if (sleep(worker)) continue;
        break;
      }
      end_search(worker);
      run(*task, worker);
    }
    end_search(worker);
  }

  const int expected_;
  Sleepers sleepers_;
  detail::TaskQueue<Task, 2, model::plain> queue_;
  detail::WorkDeque<Task> deque_{2};
  model::atomic<bool> shut_{false};
  model::atomic<int> ran_{0};
  std::size_t made_ = 0;
  Task tasks_[4];
  Worker workers_[2];
};

/// A task that ends only when another one has begun.
class Meeting {
 public:
  void meet() {
    if (count_.fetch_add(1, std::memory_order_relaxed) == 1) {
      model::futex_wake(count_, 1, std::source_location::current());
    }
    while (count_.load(std::memory_order_relaxed) == 1) {
      model::futex_wait(count_, 1, std::source_location::current());
    }
  }

 private:
  model::atomic<std::uint32_t> count_{0};
};

void one_submits_to_one_worker() {
  Pool pool(2);
  pool.start(1);
  pool.submit();
  pool.submit();
}

void two_submit_to_one_worker() {
  Pool pool(2);
  pool.start(1);
  model::thread other([&] { pool.submit(); });
  pool.submit();
  other.join();
}

void one_submits_to_two_workers() {
  Pool pool(2);
  pool.start(2);
  pool.submit();
  pool.submit();
}

void two_submit_to_two_workers() {
  Pool pool(2);
  pool.start(2);
  model::thread other([&] { pool.submit(); });
  pool.submit();
  other.join();
}

void two_tasks_that_need_each_other_get_two_workers() {
  Meeting meeting;
  Pool pool(2);
  pool.start(2);
  for (int i = 0; i < 2; ++i) {
    pool.submit([&](Worker&) { meeting.meet(); });
  }
}

void a_task_and_the_one_it_submits_get_two_workers() {
  Meeting meeting;
  Pool pool(2);
  pool.start(2);
  pool.submit([&](Worker&) {
    pool.submit_nested([&](Worker&) { meeting.meet(); });
    meeting.meet();
  });
}

void a_sleep_ends_while_one_submits() {
  Pool pool(1);
  pool.start(1, true);
  pool.submit();
}

void the_end_finds_a_worker_on_its_way_to_sleep() {
  Pool pool(0);
  pool.start(1);
  pool.shutdown();
}

void the_end_finds_two_workers() {
  Pool pool(0);
  pool.start(2, true);
  pool.shutdown();
}

/// What runs, and in how many executions all of it.
struct Scene {
  model::Body body;
  model::Options bounds;
};
const model::Options wide{.preemptions = 2, .stale_reads = 2};
const model::Options narrow{.preemptions = 1, .stale_reads = 1};
const model::Options narrowest{.preemptions = 1, .stale_reads = 0};

const std::vector<Scene> all{
    {the_end_finds_a_worker_on_its_way_to_sleep, wide},
    {a_sleep_ends_while_one_submits, wide},
    {one_submits_to_one_worker, wide},
    {two_submit_to_one_worker, narrow},
    {the_end_finds_two_workers, narrow},
    {one_submits_to_two_workers, narrow},
    {two_tasks_that_need_each_other_get_two_workers, narrow},
    {a_task_and_the_one_it_submits_get_two_workers, narrow},
    {two_submit_to_two_workers, narrowest},
};

}  // namespace

TEST_CASE("no task is left while all workers sleep") {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const model::Result result = model::explore(all[i].bounds, all[i].body);
    INFO(i << ": " << result.executions << " executions; " << result.what);
    CHECK(!result.failed);
    CHECK(result.complete);
  }
}

TEST_CASE("no task is left while all workers sleep, with more switches, at random") {
  for (const Scene& scene : all) {
    const model::Result result = model::explore(
        {.preemptions = 8, .stale_reads = 8, .executions = 500, .seed = 1}, scene.body);
    INFO(&scene - all.data() << ": " << result.what);
    CHECK(!result.failed);
  }
}

TEST_CASE("every order of the sleepers is needed") {
  const std::vector<model::Body> bodies{
      the_end_finds_a_worker_on_its_way_to_sleep,
      a_sleep_ends_while_one_submits,
      one_submits_to_one_worker,
      the_end_finds_two_workers,
      one_submits_to_two_workers,
      a_task_and_the_one_it_submits_get_two_workers,
  };
  const std::vector<model::Options> ways{
      narrowest, {.preemptions = 8, .stale_reads = 8, .executions = 300, .seed = 1}};
  CHECK(
      model::surviving_mutations("sleepers.hpp", ways, bodies) ==
      std::vector<std::string>{
          // Who reads 0 at Z2 acquires every Z7 before it, as all changes of searching_ are
          // read-modify-writes, and so knows of the Z6 before that. The single order of the proof
          // asks for more than that.
          "Sleepers::sleeping load seq_cst weaken",
          // Who does not see a searcher wakes one more than needed
          "Sleepers::begin_search fetch seq_cst weaken",
          "Sleepers::sit_down fetch seq_cst weaken",  // as sleeping
          // Who still sees a sleeper finds under the mutex that there is none
          "Sleepers::get_up fetch seq_cst weaken",
          // Z10 hands nothing over: what belongs to a seat is under the mutex, and who is woken and
          // finds nothing looks again at Z8
          "Sleepers::get_up load acquire weaken", "Sleepers::sleep load acquire weaken",
          "Sleepers::wake_one fetch seq_cst weaken",  // as get_up
          "Sleepers::wake_one store release weaken",  // Z10
          "Sleepers::wake_all fetch seq_cst weaken",  // as get_up
          "Sleepers::wake_all store release weaken",  // Z10
      });
}
