// SPDX-License-Identifier: MIT
// The bound: one thread allocates and links a state a task, then runs and frees them.

#include "fire_and_forget/fire_and_forget.hpp"

namespace {

struct State {
  void (*run)();
  State* next;
};

void run(benchmark::State& state) {
  bench::report_fire_and_forget(state, [](std::size_t count) {
    State* head = nullptr;
    State** tail = &head;
    for (std::size_t i = 0; i < count; ++i) {
      *tail = new State{.run = bench::tally, .next = nullptr};
      tail = &(*tail)->next;
    }
    while (head != nullptr) {
      State* const current = head;
      head = current->next;
      current->run();
      delete current;
    }
  });
}

[[maybe_unused]] const bool added =
    bench::add("T2/fire_and_forget", "one state a task, no hand-over", bench::Kind::bound, run);

}  // namespace
