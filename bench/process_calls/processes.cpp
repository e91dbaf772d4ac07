// SPDX-License-Identifier: MIT
// ProcessPoolExecutor, with no option set but the number of workers.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/multiprocessing/shared_array.hpp>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "process_calls/process_calls.hpp"

namespace {

using namespace concurrent::futures;
using concurrent::multiprocessing::SharedArray;

int identity(int number) { return number; }
std::vector<char> same_bytes(std::vector<char> bytes) { return bytes; }
SharedArray<char> mark_ends(SharedArray<char> bytes, char mark) {
  bytes[0] = bytes[bytes.size() - 1] = mark;
  return bytes;
}
void sleep_for_ever() {
  for (;;) ::pause();
}

constexpr const char* name = "concurrent";
constexpr auto ours = bench::Kind::ours;

std::vector<int> numbers(std::size_t count) {
  std::vector<int> list(count);
  std::iota(list.begin(), list.end(), 0);
  return list;
}

long long sum_below(std::size_t count) {
  const auto n = static_cast<long long>(count);
  return n * (n - 1) / 2;
}

void submit_get(benchmark::State& state) {
  ProcessPoolExecutor pool(bench::config().workers);
  const std::size_t count = bench::config().scaled(20'000);
  bench::report_time(state, "ns/task", static_cast<double>(count), bench::nanoseconds, [&] {
    std::vector<Future<int>> futures;
    futures.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      futures.push_back(pool.submit(identity, static_cast<int>(i)));
    }
    long long sum = 0;
    for (const Future<int>& future : futures) sum += future.result();
    bench::require(sum == sum_below(count), "the sum of the results");
  });
}

void map_numbers(benchmark::State& state, std::size_t full, MapOptions options) {
  ProcessPoolExecutor pool(bench::config().workers);
  const std::size_t count = bench::config().scaled(full);
  const std::vector<int> list = numbers(count);
  bench::report_time(state, "ns/element", static_cast<double>(count), bench::nanoseconds, [&] {
    long long sum = 0;
    for (const int result : pool.map(options, identity, list)) sum += result;
    bench::require(sum == sum_below(count), "the sum of the results");
  });
}

void round_trips(benchmark::State& state, std::size_t count, std::chrono::microseconds pause) {
  ProcessPoolExecutor pool(bench::config().workers);
  bench::report_process_round_trips(
      state, count, pause, [&](int number) { return pool.submit(identity, number).result(); });
}

void send_bytes(benchmark::State& state, std::size_t mebibytes) {
  ProcessPoolExecutor pool(bench::config().workers);
  const std::vector<char> bytes(mebibytes << 20U, 'x');
  const std::size_t calls = bench::identity_calls(mebibytes);
  bench::report_time(state, "ms", static_cast<double>(calls), bench::milliseconds, [&] {
    for (std::size_t i = 0; i < calls; ++i) {
      const std::vector<char> back = pool.submit(same_bytes, bytes).result();
      bench::require(back.size() == bytes.size() && back.back() == 'x', "the bytes that came back");
    }
  });
}

void send_shared(benchmark::State& state, std::size_t mebibytes) {
  ProcessPoolExecutor pool(bench::config().workers);
  const SharedArray<char> bytes(mebibytes << 20U);
  const std::size_t calls = bench::config().scaled(5'000);
  bench::report_time(state, "us", static_cast<double>(calls), bench::microseconds, [&] {
    for (std::size_t i = 0; i < calls; ++i) {
      const auto mark = static_cast<char>(i % 100 + 1);
      const SharedArray<char> back = pool.submit(mark_ends, bytes, mark).result();
      bench::require(back.data() == bytes.data() && bytes[bytes.size() - 1] == mark,
                     "the bytes that the task has written");
    }
  });
}

void whole_life(benchmark::State& state) {
  bench::report_quantiles(state, bench::config().quick ? 20 : 100, "ms", bench::milliseconds,
                          [](std::size_t) {
                            return bench::seconds([] {
                              const unsigned workers = bench::config().workers;
                              ProcessPoolExecutor pool(workers);
                              std::vector<Future<int>> futures;
                              for (unsigned i = 0; i < workers; ++i) {
                                futures.push_back(pool.submit(identity, 1));
                              }
                              for (auto& future : futures) {
                                bench::require(future.result() == 1, "a result");
                              }
                            });
                          });
}

void death(benchmark::State& state) {
  bench::report_quantiles(state, bench::config().quick ? 20 : 200, "ms", bench::milliseconds,
                          [](std::size_t) {
                            ProcessPoolExecutor pool(bench::config().workers);
                            const pid_t worker = pool.submit(::getpid).result();
                            std::vector<Future<void>> tasks;
                            for (unsigned i = 0; i < bench::config().workers; ++i) {
                              tasks.push_back(pool.submit(sleep_for_ever));
                            }
                            std::this_thread::sleep_for(std::chrono::milliseconds(2));
                            return bench::seconds([&] {
                              ::kill(worker, SIGKILL);
                              try {
                                tasks.front().result();
                              } catch (const BrokenProcessPool&) {
                                return;
                              }
                              bench::require(false, "the death of a worker");
                            });
                          });
}

[[maybe_unused]] const bool added = [] {
  using bench::add;
  add("Q1/submit_get", name, ours, submit_get);
  add("Q1/map_chunksize_1", name, ours,
      [](auto& state) { map_numbers(state, 20'000, {.chunksize = 1}); });
  add("Q1/map_chunksize_1000", name, ours,
      [](auto& state) { map_numbers(state, 1'000'000, {.chunksize = 1000}); });
  add("Q1/map", name, ours, [](auto& state) { map_numbers(state, 10'000'000, {}); });
  add("Q2/round_trip", name, ours,
      [](auto& state) { round_trips(state, bench::round_trips(), {}); });
  add("Q2/round_trip_after_sleep", name, ours, [](auto& state) {
    round_trips(state, bench::round_trips_after_sleep(), bench::pause_between_round_trips);
  });
  for (const std::size_t mebibytes : {1U, 16U, 64U}) {
    const std::string row = "Q3/identity_" + std::to_string(mebibytes) + "_MiB";
    add(row.c_str(), name, ours, [mebibytes](auto& state) { send_bytes(state, mebibytes); });
  }
  for (const std::size_t mebibytes : {1U, 64U}) {
    const std::string row = "Q3/shared_" + std::to_string(mebibytes) + "_MiB";
    add(row.c_str(), name, ours, [mebibytes](auto& state) { send_shared(state, mebibytes); });
  }
  add("Q4/whole_life", name, ours, whole_life);
  return add("Q5/death_noticed", name, ours, death);
}();

}  // namespace
