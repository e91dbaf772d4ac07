// SPDX-License-Identifier: MIT
// The bound: one thread (for T3 two that share nothing), one heap-allocated state of 32 bytes a
// task, kept in a vector, run, read and freed. No hand-over at all.

#include <cstdint>
#include <memory>

#include "submit_get/submit_get.hpp"

namespace {

struct State {
  void (*run)(State&);
  std::size_t number;
  std::size_t result;
  std::uint64_t done;
};
static_assert(sizeof(State) == 32);

void run_task(State& state) {
  state.result = state.number;
  state.done = 1;
}

struct Single {
  explicit Single(unsigned) {}

  template <class F>
  std::unique_ptr<State> submit(F function) {
    return std::make_unique<State>(
        State{.run = run_task, .number = function(), .result = 0, .done = 0});
  }

  static std::size_t get(std::unique_ptr<State>& state) {
    benchmark::DoNotOptimize(state->run);
    state->run(*state);
    const auto result = state->result;
    state.reset();
    return result;
  }
};

[[maybe_unused]] const bool added =
    bench::add_submit_get<Single>("one 32-byte state a task, no hand-over", bench::Kind::bound);

}  // namespace
