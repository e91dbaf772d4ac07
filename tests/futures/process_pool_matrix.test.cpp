// SPDX-License-Identifier: MIT

// What a task may do to its worker, at each step of its way, with small and with large data.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cereal/types/vector.hpp>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"
#include "support/scaled.hpp"

using namespace concurrent::futures;
using namespace process_test;
using namespace std::chrono_literals;
using support::matchers::contains;

namespace {

enum class Step { reading, running, writing };
enum class Act { be_killed, exit, throw_error, stop };

const char* name_of(Step step) {
  return step == Step::reading ? "reading" : step == Step::running ? "running" : "writing";
}
const char* name_of(Act act) {
  switch (act) {
    case Act::be_killed:
      return "be killed";
    case Act::exit:
      return "exit";
    case Act::throw_error:
      return "throw";
    case Act::stop:
      return "stop";
  }
  return "";
}

/// Forked workers have it from the test.
pid_t test_process = 0;

/// Bytes that act when a worker is at their step, in the middle of them.
struct Charge {
  Step step = Step::running;
  Act act = Act::throw_error;
  std::vector<char> first;
  std::vector<char> second;

  void pass(Step now) const {
    if (now != step || ::getpid() == test_process) return;
    switch (act) {
      case Act::be_killed:
        ::kill(::getpid(), SIGKILL);
        break;
      case Act::exit:
        ::_exit(7);
      case Act::throw_error:
        throw std::runtime_error("the charge has thrown");
      case Act::stop:
        ::kill(::getpid(), SIGSTOP);
        break;
    }
  }
  template <class Archive>
  void save(Archive& archive) const {
    archive(step, act, first);
    pass(Step::writing);
    archive(second);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(step, act, first);
    pass(Step::reading);
    archive(second);
  }
};

Charge carry(Charge charge) {
  charge.pass(Step::running);
  return charge;
}

std::vector<char> reversed(std::vector<char> bytes) {
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

std::vector<char> letters(std::size_t size) {
  std::vector<char> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + i % 23);
  return bytes;
}

}  // namespace

TEST_CASE("whatever a task does at whatever step, it alone fails, and the pool goes on") {
  const Step step = GENERATE(Step::reading, Step::running, Step::writing);
  const Act act = GENERATE(Act::be_killed, Act::exit, Act::throw_error, Act::stop);
  if (step == Step::reading && act == Act::throw_error) return;  // the case after this one
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{600'000});
  const bool through_sockets = GENERATE(false, true);
  CAPTURE(name_of(step), name_of(act), size, through_sockets);
  test_process = ::getpid();
  ProcessPoolExecutor::Options options{.max_workers = 2, .on_worker_death = OnWorkerDeath::restart};
  // Memory for large data is not shared with workers whose address space is limited.
  if (through_sockets) options.limits.address_space = std::size_t{1} << 50U;
  ProcessPoolExecutor executor(options);
  const std::vector<char> data = letters(size);
  std::vector<Future<std::vector<char>>> others;
  for (int i = 0; i < 4; ++i) others.push_back(executor.submit(reversed, data));
  const TaskOptions limit{.timeout = act == Act::stop ? 100ms : 60s};
  const auto charged = executor.submit(limit, carry, Charge{step, act, data, data});
  for (int i = 0; i < 4; ++i) others.push_back(executor.submit(reversed, data));
  switch (act) {
    case Act::be_killed:
      CHECK(fails_with<WorkerDied>(charged));
      CHECK_THAT(failure_of(charged), contains("was killed by signal 9"));
      break;
    case Act::exit:
      CHECK(fails_with<WorkerDied>(charged));
      CHECK_THAT(failure_of(charged), contains("exited with status 7"));
      break;
    case Act::throw_error:
      CHECK_THAT(failure_of(charged), contains("the charge has thrown"));
      break;
    case Act::stop:
      CHECK(fails_with<TimeoutError>(charged));
      break;
  }
  const std::vector<char> expected = reversed(data);
  for (const auto& other : others) CHECK(other.result(60s) == expected);
  CHECK(executor.submit(reversed, data).result(60s) == expected);
}

TEST_CASE("an argument that throws while it is read breaks the pool, whatever its size") {
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{600'000});
  CAPTURE(size);
  test_process = ::getpid();
  ProcessPoolExecutor executor({.max_workers = 2, .on_worker_death = OnWorkerDeath::restart});
  const std::vector<char> data = letters(size);
  const auto charged = executor.submit(carry, Charge{Step::reading, Act::throw_error, data, data});
  CHECK_THAT(failure_of(charged), contains("could not be read back"));
  CHECK_THROWS_AS(executor.submit(reversed, data), BrokenProcessPool);
}

TEST_CASE("a task whose worker dies at any step is run again with the same arguments") {
  const Step step = GENERATE(Step::reading, Step::running, Step::writing);
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{600'000});
  CAPTURE(name_of(step), size);
  const SharedBoard shared;
  test_process = ::getpid();
  ProcessPoolExecutor executor({.max_workers = 2, .on_worker_death = OnWorkerDeath::restart});
  const std::vector<char> data = letters(size);
  const auto charged = executor.submit(TaskOptions{.max_retries = 1}, carry,
                                       Charge{step, Act::be_killed, data, data});
  CHECK(fails_with<WorkerDied>(charged));
  CHECK_THAT(failure_of(charged), contains("it was attempt 2"));
  const auto once = executor.submit(
      TaskOptions{.max_retries = 1},
      [](std::vector<char> bytes) {
        std::reverse(bytes.begin(), bytes.end());
        if (board()->flag.at(0)++ == 0) ::kill(::getpid(), SIGKILL);
        return bytes;
      },
      data);
  CHECK(once.result(60s) == reversed(data));
}

TEST_CASE("a task whose worker dies twice gets the same arguments a third time") {
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{600'000});
  const bool through_sockets = GENERATE(false, true);
  CAPTURE(size, through_sockets);
  const SharedBoard shared;
  ProcessPoolExecutor::Options options{.max_workers = 1, .on_worker_death = OnWorkerDeath::restart};
  if (through_sockets) options.limits.address_space = std::size_t{1} << 50U;
  ProcessPoolExecutor executor(options);
  const auto third = executor.submit(
      TaskOptions{.max_retries = 3},
      [](std::vector<char> bytes) {
        std::reverse(bytes.begin(), bytes.end());
        if (++board()->flag.at(0) < 3) ::kill(::getpid(), SIGKILL);
        return bytes;
      },
      letters(size));
  CHECK(third.result(60s) == reversed(letters(size)));
}

TEST_CASE("a task that forks and returns twice changes no other task's data") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const std::vector<char> data = letters(600'000);
  for (int round = 0; round < 3; ++round) {
    const auto twice = executor.submit(
        [](std::vector<char> bytes) {
          if (::fork() == 0) ::usleep(20'000);
          return bytes;
        },
        data);
    REQUIRE(twice.result(60s) == data);
    std::vector<Future<std::vector<char>>> others;
    for (int i = 0; i < 60; ++i) others.push_back(executor.submit(reversed, data));
    for (const auto& other : others) REQUIRE(other.result(60s) == reversed(data));
  }
}

TEST_CASE("a worker that is stopped from outside holds up no task but its own") {
  const std::size_t size = GENERATE(std::size_t{10}, std::size_t{600'000});
  CAPTURE(size);
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  const std::vector<char> data = letters(size);
  const auto stopped = executor.submit([] {
    board()->pid.at(0) = ::getpid();
    board()->flag.at(0) = 1;
    ::kill(::getpid(), SIGSTOP);
  });
  sleep_until_flag(0);
  for (int i = 0; i < 50; ++i) {
    REQUIRE(executor.submit(reversed, data).result(60s) == reversed(data));
  }
  CHECK_FALSE(stopped.done());
  ::kill(board()->pid.at(0), SIGCONT);
  CHECK_NOTHROW(stopped.result(60s));
}
