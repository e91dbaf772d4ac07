// SPDX-License-Identifier: MIT
#pragma once

// T8: the memory of a pending task. One worker is held by a gate while 1,000,000 tasks are
// submitted and their futures kept.
//
//   B/task resident, handle included   growth of the resident set; sees every allocator
//   B/task heap, without the handle    growth of what malloc handed out (mallinfo2), with its
//   headers;
//                                      too little where the pool maps memory by itself
//   B handle                           sizeof

#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <vector>

#include "submit_get/submit_get.hpp"

namespace bench {

inline std::size_t resident_bytes() {
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

inline std::size_t heap_bytes() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

template <class Pool>
void report_memory(benchmark::State& state) {
  const std::size_t count = config().quick ? 200'000 : 1'000'000;
  std::vector<Handle<Pool>> futures;
  futures.reserve(count);
  std::atomic<bool> started{false};
  std::atomic<bool> open{false};
  std::size_t resident = 0;
  std::size_t heap = 0;
  std::size_t sum = 0;
  Pool pool(1);
  auto gate = pool.submit([&started, &open] {
    started = true;
    started.notify_one();
    open.wait(false);
    return std::size_t{0};
  });
  started.wait(false);
  const double elapsed = seconds([&] {
    const auto resident_before = resident_bytes();
    const auto heap_before = heap_bytes();
    for (std::size_t i = 0; i < count; ++i) futures.push_back(pool.submit(numbered_task(i)));
    heap = heap_bytes() - heap_before;
    resident = resident_bytes() - resident_before;
    open = true;
    open.notify_one();
    for (auto& future : futures) sum += Pool::get(future);
  });
  Pool::get(gate);
  require(sum == count * (count - 1) / 2, "the sum of the tasks' results");
  report_elapsed(state, elapsed);
  const auto per_task = [&](std::size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(count);
  };
  state.counters["B resident, handle included"] = per_task(resident);
  state.counters["B heap, without the handle"] = per_task(heap);
  state.counters["B handle"] = sizeof(Handle<Pool>);
}

template <class Pool>
bool add_memory(const char* contestant, Kind kind) {
  return add("T8/pending_task", contestant, kind, report_memory<Pool>);
}

}  // namespace bench
