// SPDX-License-Identifier: MIT

// The hook for exceptions that nobody can catch.

#include <concurrent/futures/thread_pool.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/unraisable.hpp"

using namespace concurrent::futures;

TEST_CASE("the hook gets the exception and where it came from") {
  const support::UnraisableReports reports;
  const auto error = std::make_exception_ptr(std::runtime_error("oops"));
  report_unraisable(error, "a test");
  CHECK(reports.lines() == std::vector<std::string>{"a test: oops"});
}

TEST_CASE("the hook is called in the thread where the exception appeared") {
  std::thread::id thread;
  UnraisableHook before =
      set_unraisable_hook([&thread](const std::exception_ptr&, std::string_view) {
        thread = std::this_thread::get_id();
      });
  {
    ThreadPoolExecutor pool(1);
    const auto worker = pool.submit([] { return std::this_thread::get_id(); }).result();
    pool.post([] { throw 42; });
    pool.wait_idle();
    CHECK(thread == worker);
  }
  set_unraisable_hook(std::move(before));
}

TEST_CASE("setting a hook gives back the one before") {
  int first = 0;
  int second = 0;
  UnraisableHook original =
      set_unraisable_hook([&first](const std::exception_ptr&, std::string_view) { ++first; });
  UnraisableHook mine =
      set_unraisable_hook([&second](const std::exception_ptr&, std::string_view) { ++second; });
  report_unraisable(std::make_exception_ptr(1), "a test");
  set_unraisable_hook(std::move(mine));
  report_unraisable(std::make_exception_ptr(1), "a test");
  set_unraisable_hook(std::move(original));
  CHECK(first == 1);
  CHECK(second == 1);
}

TEST_CASE("no lock is held while the hook runs") {
  int calls = 0;
  UnraisableHook before =
      set_unraisable_hook([&calls](const std::exception_ptr&, std::string_view) {
        ++calls;
        UnraisableHook mine = set_unraisable_hook(nullptr);  // would deadlock under a lock
        if (calls == 1) {
          set_unraisable_hook(mine);
          report_unraisable(std::make_exception_ptr(1), "the hook itself");
        }
      });
  report_unraisable(std::make_exception_ptr(1), "a test");
  set_unraisable_hook(std::move(before));
  CHECK(calls == 2);
}

TEST_CASE("a hook that throws does no harm") {
  UnraisableHook before = set_unraisable_hook(
      [](const std::exception_ptr&, std::string_view) { throw std::runtime_error("the hook"); });
  {
    ThreadPoolExecutor pool(1);
    pool.post([] { throw 42; });
    CHECK(pool.submit([] { return 1; }).result() == 1);
  }
  set_unraisable_hook(std::move(before));
}

TEST_CASE("a hook may be any copyable callable, and an empty one brings back the default") {
  struct Hook {
    std::string text;
    void operator()(const std::exception_ptr&, std::string_view) const {}
  };
  UnraisableHook before = set_unraisable_hook(Hook{"text"});
  UnraisableHook hook = set_unraisable_hook(nullptr);
  CHECK(static_cast<bool>(hook));
  hook = set_unraisable_hook(std::move(before));
  CHECK_FALSE(static_cast<bool>(hook));
}
