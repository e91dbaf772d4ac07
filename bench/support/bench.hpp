// SPDX-License-Identifier: MIT
#pragma once

// What every row of the suite shares: how a contestant registers itself, how its work is timed, and
// how a wrong result fails the run. Google Benchmark runs it and writes the JSON; suite.py starts
// the contestants' programs in turn and makes the table.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// What the command line of a contestant's program says: `--workers=N --quick`.
struct Config {
  unsigned workers = 2;
  bool quick = false;
  int samples = 3;  ///< timed repetitions in one process; their median is what it reports

  /// The size of a workload: the full one, or a tenth of it under `--quick`.
  [[nodiscard]] std::size_t scaled(std::size_t full) const { return quick ? full / 10 : full; }
};

/// Set once by main() before anything runs.
inline Config& config() {
  static Config instance;
  return instance;
}

/// What a contestant is to the others; the table's ratios depend on it.
enum class Kind {
  ours,
  peer,        ///< does the same work with the same promises
  related,     ///< does less (no future a task, say); shown, and not counted as a peer
  sequential,  ///< the same work without tasks, in one thread
  bound        ///< what the machine allows
};

inline const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::ours:
      return "ours";
    case Kind::peer:
      return "peer";
    case Kind::related:
      return "related";
    case Kind::sequential:
      return "sequential";
    case Kind::bound:
      return "bound";
  }
  return "?";
}

/// Thrown by `require`; fails the row, and with it the run.
struct WrongResult : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Every contestant checks what it computed with this.
inline void require(bool right, const char* what) {
  if (!right) throw WrongResult(std::string("wrong result: ") + what);
}

/// Registers one contestant of one row, for example add("T1/submit_get", "Asio", Kind::peer, run).
/// Returns true, so that a namespace-scope constant can do it.
inline bool add(const char* row, const char* contestant, Kind kind,
                std::function<void(benchmark::State&)> run) {
  const auto name = std::string(row) + "/" + contestant;
  benchmark::RegisterBenchmark(name.c_str(),
                               [kind, run = std::move(run)](benchmark::State& state) {
                                 state.SetLabel(to_string(kind));
                                 try {
                                   run(state);
                                 } catch (const std::exception& error) {
                                   state.SkipWithError(error.what());
                                 }
                               })
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
  return true;
}

/// The seconds that `body` took.
template <class Body>
double seconds(Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double quantile(std::vector<double>& values, double q) {
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(q * last + 0.5)];
}

/// Runs `body` once to warm up and `config().samples` times against the clock; reports the median
/// divided by `operations` in the unit of which a second has `per_second`, under the name `metric`.
template <class Body>
void report_time(benchmark::State& state, const char* metric, double operations, double per_second,
                 Body&& body) {
  body();
  std::vector<double> samples;
  for (int i = 0; i < config().samples; ++i) samples.push_back(seconds(body));
  const double median = quantile(samples, 0.5);
  for ([[maybe_unused]] auto _ : state) state.SetIterationTime(median);
  state.counters[metric] = median * per_second / operations;
}

/// For rows that measure something other than one duration: the clock shows `elapsed`.
inline void report_elapsed(benchmark::State& state, double elapsed) {
  for ([[maybe_unused]] auto _ : state) state.SetIterationTime(elapsed);
}

inline constexpr double nanoseconds = 1e9;
inline constexpr double microseconds = 1e6;
inline constexpr double milliseconds = 1e3;

}  // namespace bench
