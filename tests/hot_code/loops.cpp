// SPDX-License-Identifier: MIT

// Loops in functions that use the library. g++ takes what comes before or after a call of a cold
// function for as seldom as that, and compiles it for size; check.cmake looks where it has put
// them.

#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <memory>
#include <stdexcept>
#include <vector>

using namespace concurrent::futures;

int work(int);
void use(const std::exception_ptr&);

/// A loop that leaves its name in the object file.
#define LOOP(name, n)                         \
  for (int i = 0; i < (n); ++i) {             \
    asm volatile("loop_" #name "_%=:\n" : :); \
    work(i);                                  \
  }

void behind_construction(int n) {
  const ThreadPoolExecutor pool(2);
  LOOP(behind_construction, n)
}

void behind_default_construction(int n) {
  const ThreadPoolExecutor pool;
  LOOP(behind_default_construction, n)
}

void behind_construction_with_options(int n) {
  const ThreadPoolExecutor pool({.max_workers = 2, .thread_name_prefix = "io", .max_pending = 10});
  LOOP(behind_construction_with_options, n)
}

void around_destruction(std::unique_ptr<ThreadPoolExecutor>& pool, int n) {
  LOOP(before_destruction, n)
  pool.reset();
  LOOP(behind_destruction, n)
}

void behind_shutdown(ThreadPoolExecutor& pool, int n) {
  pool.shutdown();
  LOOP(behind_shutdown, n)
}

void behind_cancelling_shutdown(ThreadPoolExecutor& pool, int n) {
  pool.shutdown(true, true);
  LOOP(behind_cancelling_shutdown, n)
}

void behind_submit_and_result(ThreadPoolExecutor& pool, int n) {
  const auto future = pool.submit(work, n);
  LOOP(behind_submit, n)
  future.result();
  LOOP(behind_result, n)
}

void behind_submit_with_options(ThreadPoolExecutor& pool, int n) {
  const auto future = pool.submit(TaskOptions{.priority = 3}, work, n);
  LOOP(behind_submit_with_options, n)
}

void behind_post(ThreadPoolExecutor& pool, int n) {
  pool.post(work, n);
  LOOP(behind_post, n)
}

void behind_wait_idle(ThreadPoolExecutor& pool, int n) {
  pool.wait_idle();
  LOOP(behind_wait_idle, n)
}

void behind_map(ThreadPoolExecutor& pool, const std::vector<int>& numbers, int n) {
  for (const int number : pool.map(work, numbers)) {
    LOOP(in_map, number)
  }
  LOOP(behind_map, n)
  const auto results = pool.map(work, numbers).to_vector();
  LOOP(behind_to_vector, n)
}

void behind_cancel(Future<int>& future, int n) {
  future.cancel();
  LOOP(behind_cancel, n)
}

void behind_exception(const Future<int>& future, int n) {
  use(future.exception());
  LOOP(behind_exception, n)
}

void behind_add_done_callback(Future<int>& future, int n) {
  future.add_done_callback([](const Future<int>&) {});
  LOOP(behind_add_done_callback, n)
}

void behind_then(Future<int>& future, int n) {
  const auto next = future.then([](int number) { return number; });
  LOOP(behind_then, n)
}

void behind_set_result(Future<int>& future, int n) {
  future.set_result(n);
  LOOP(behind_set_result, n)
}

void behind_set_exception(Future<int>& future, int n) {
  future.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  LOOP(behind_set_exception, n)
}

void behind_wait(const std::vector<Future<int>>& futures, int n) {
  wait(futures);
  LOOP(behind_wait, n)
  wait(futures, {.timeout = std::chrono::seconds(1), .return_when = FIRST_COMPLETED});
  LOOP(behind_wait_for_first, n)
}

void behind_as_completed(const std::vector<Future<int>>& futures, int n) {
  for (const auto& future : as_completed(futures)) {
    LOOP(in_as_completed, future.result())
  }
  LOOP(behind_as_completed, n)
}
