// SPDX-License-Identifier: MIT
// `wait` and `as_completed` over 100,000 and 1,000,000 futures: ten times more must cost ten times
// more. "finished" is the cost of the calls alone; "pending" begins before any task has run, so it
// contains the execution of the tasks.

#include <concurrent/futures/wait.hpp>

#include <atomic>

#include "support/bench.hpp"
#include "support/concurrent_pool.hpp"

namespace {

using concurrent::futures::Future;
using concurrent::futures::ThreadPoolExecutor;
using Futures = std::vector<Future<std::size_t>>;

/// Holds all workers of a pool until it is opened.
class Gate {
 public:
  explicit Gate(ThreadPoolExecutor& pool) {
    for (unsigned i = 0; i < bench::config().workers; ++i) {
      held_.push_back(pool.submit([this] { open_.wait(false); }));
    }
  }
  void open() {
    open_ = true;
    open_.notify_all();
  }
  ~Gate() {
    open();
    for (const auto& held : held_) held.result();
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

 private:
  std::atomic<bool> open_{false};
  std::vector<Future<void>> held_;
};

struct Wait {
  template <class Open>
  static void run(const Futures& futures, Open open) {
    open();  // `wait` returns when all are finished, so the tasks run beside it
    const auto [done, not_done] = concurrent::futures::wait(futures);
    bench::require(done.size() == futures.size() && not_done.empty(), "what wait returned");
  }
};

struct AsCompleted {
  template <class Open>
  static void run(const Futures& futures, Open open) {
    std::size_t sum = 0;
    auto completed = concurrent::futures::as_completed(futures);
    open();
    for (const auto& future : completed) sum += future.result();
    const auto count = futures.size();
    bench::require(sum == count * (count - 1) / 2, "the sum over as_completed");
  }
};

template <class Call>
void run(benchmark::State& state, std::size_t count, bool pending) {
  ThreadPoolExecutor pool(std::size_t{bench::config().workers});
  std::vector<double> samples;
  for (int sample = 0; sample <= bench::config().samples; ++sample) {  // the first one warms up
    Futures futures;
    futures.reserve(count);
    double elapsed = 0;
    {
      Gate gate(pool);
      for (std::size_t i = 0; i < count; ++i) futures.push_back(pool.submit([i] { return i; }));
      if (pending) {
        elapsed = bench::seconds([&] { Call::run(futures, [&gate] { gate.open(); }); });
      }
    }
    if (!pending) {
      for (const auto& future : futures) static_cast<void>(future.result());
      elapsed = bench::seconds([&] { Call::run(futures, [] {}); });
    }
    if (sample > 0) samples.push_back(elapsed);
  }
  const double median = bench::quantile(samples, 0.5);
  bench::report_elapsed(state, median);
  state.counters["ns/future"] = median * bench::nanoseconds / static_cast<double>(count);
}

template <class Call>
bool add_rows(const std::string& call) {
  for (const bool pending : {false, true}) {
    for (const bool ten_times : {false, true}) {
      const auto row = "T10/" + call + (pending ? "_pending" : "_finished") +
                       (ten_times ? "_1000000" : "_100000");
      bench::add(row.c_str(), "concurrent", bench::Kind::ours,
                 [ten_times, pending](benchmark::State& state) {
                   run<Call>(state, ten_times ? 1'000'000 : 100'000, pending);
                 });
    }
  }
  return true;
}

[[maybe_unused]] const bool added = add_rows<Wait>("wait") && add_rows<AsCompleted>("as_completed");

}  // namespace
