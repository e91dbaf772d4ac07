// SPDX-License-Identifier: MIT

// What a process pool does when a worker dies, or worse.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace process_test;
using namespace std::chrono_literals;
using concurrent::futures::CancelledError;
using concurrent::futures::ShutdownError;
using concurrent::futures::TaskOptions;
using concurrent::futures::TimeoutError;
using support::matchers::contains;

namespace {

std::vector<int> descriptors_of_kind(mode_t wanted) {
  std::vector<int> found;
  for (int number = 3; number < 4096; ++number) {
    struct stat kind {};
    if (::fstat(number, &kind) == 0 && (kind.st_mode & S_IFMT) == wanted) found.push_back(number);
  }
  return found;
}
/// In a worker, its channel is among them.
std::vector<int> sockets() { return descriptors_of_kind(S_IFSOCK); }
std::vector<int> pipes() { return descriptors_of_kind(S_IFIFO); }
/// What a worker sleeps on, given the pipes of the program.
std::vector<int> bell_beside(const std::vector<int>& of_the_program) {
  std::vector<int> found = pipes();
  for (const int pipe : of_the_program) std::erase(found, pipe);
  return found;
}

struct FailsToWrite {
  int value = 0;
  template <class Archive>
  void save(Archive&) const {
    throw std::invalid_argument("this one cannot be written");
  }
  template <class Archive>
  void load(Archive&) {}
};

struct FailsToRead {
  int value = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(value);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::invalid_argument("this one cannot be read");
  }
};

/// Reads more than was written.
struct ReadsTooMuch {
  template <class Archive>
  void save(Archive& archive) const {
    archive(1);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::vector<double> rest;
    archive(rest);
  }
};

}  // namespace

TEST_CASE(
    "a worker that is killed in a task breaks the pool at once, for every unfinished future") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  const auto finished = executor.submit(square, 6);
  CHECK(finished.result() == 36);
  const auto victim = executor.submit(TaskOptions{.name = "victim"}, [] {
    board()->pid[0] = ::getpid();
    sleep_until_flag(0);
  });
  const auto sibling = executor.submit(TaskOptions{.name = "sibling"}, [] {
    board()->pid[1] = ::getpid();
    sleep_until_flag(0);
  });
  std::vector<Future<int>> queued;
  for (int i = 0; i < 100; ++i) queued.push_back(executor.submit(square, i));
  REQUIRE(within(30s, [] { return board()->pid[0] != 0 && board()->pid[1] != 0; }));

  const pid_t worker = board()->pid[0];
  ::kill(worker, SIGKILL);
  const std::string killed =
      "worker process " + std::to_string(worker) + " was killed by signal 9 (Killed)";
  CHECK_THAT(failure_of(victim), contains(killed + " while it ran the task 'victim'"));
  CHECK_THAT(failure_of(sibling), contains(killed));
  CHECK_THAT(failure_of(sibling), contains("the task 'sibling' was in worker process " +
                                           std::to_string(board()->pid[1])));
  std::set<const void*> exceptions;
  for (const auto& future : queued) {
    CHECK_THAT(failure_of(future), contains(killed));
    try {
      future.result();
    } catch (const BrokenProcessPool& error) {
      exceptions.insert(&error);
    }
  }
  CHECK(exceptions.size() == queued.size());  // each its own object
  CHECK(finished.result() == 36);             // what had finished is kept
  CHECK_THROWS_AS(executor.submit(square, 1), BrokenProcessPool);
  CHECK(within(10s, [] { return gone(board()->pid[1]); }));
}

TEST_CASE("what another worker had finished when the death is noticed is kept") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 3});
  const auto first = executor.submit([] { sleep_until_flag(0); });
  const auto victim = executor.submit([] {
    board()->pid[0] = ::getpid();
    ::pause();
  });
  const auto sibling = executor.submit([] {
    sleep_until_flag(1);
    std::thread([] {  // by then the result has been written
      ::usleep(300000);
      board()->flag[2] = 1;
    })
        .detach();
    return 7;
  });
  // The pool looks at nothing while this runs: first the victim dies, then the sibling finishes.
  first.add_done_callback([](const Future<void>&) {
    ::kill(board()->pid[0], SIGKILL);
    within(30s, [] { return gone(board()->pid[0]); });
    board()->flag[1] = 1;
    sleep_until_flag(2);
  });
  REQUIRE(within(30s, [&] { return board()->pid[0] != 0 && sibling.running(); }));
  board()->flag[0] = 1;
  CHECK(fails_with<BrokenProcessPool>(victim));
  CHECK(failure_of(sibling).empty());
}

TEST_CASE("the death of a worker is noticed within 20 ms") {
  std::vector<std::chrono::microseconds> delays;
  for (int round = 0; round < 20; ++round) {
    const SharedBoard shared;
    ProcessPoolExecutor executor({.max_workers = 2});
    const auto task = executor.submit([] {
      board()->pid[0] = ::getpid();
      ::pause();
    });
    REQUIRE(within(30s, [] { return board()->pid[0] != 0; }));
    const auto begin = Clock::now();
    ::kill(board()->pid[0], SIGKILL);
    CHECK(fails_with<BrokenProcessPool>(task));
    delays.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin));
  }
  // The best of them: the machine may be busy with others.
  CHECK(*std::min_element(delays.begin(), delays.end()) < 20ms);
}

TEST_CASE("a worker that exits in a task breaks the pool, and says with which status") {
  const auto check = [](auto task, const std::string& status) {
    ProcessPoolExecutor executor({.max_workers = 1});
    CHECK_THAT(failure_of(executor.submit(task)), contains("exited with status " + status));
  };
  check([] { std::exit(3); }, "3");
  check([] { ::_exit(4); }, "4");
  check([] { std::exit(0); }, "0");
  check([] { std::quick_exit(5); }, "5");
}

TEST_CASE("a worker that aborts or crashes breaks the pool, and says by which signal") {
  const auto check = [](auto task, const std::string& signal) {
    ProcessPoolExecutor executor({.max_workers = 1});
    CHECK_THAT(failure_of(executor.submit(task)), contains("killed by signal " + signal));
  };
  check([] { ::raise(SIGSEGV); }, "11 (Segmentation fault)");
  check([] { ::raise(SIGTERM); }, "15 (Terminated)");
  check([] { ::raise(SIGXCPU); }, "24");
}

TEST_CASE("an idle worker that is killed breaks the pool") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  ::kill(worker, SIGKILL);
  REQUIRE(within(30s, [&] {
    try {
      return executor.submit(square, 2).result() != 4;
    } catch (const BrokenProcessPool&) {
      return true;
    }
  }));
  CHECK_THROWS_AS(executor.submit(square, 2), BrokenProcessPool);
}

TEST_CASE("a worker that is killed before it reads its task breaks the pool") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  ::kill(worker, SIGSTOP);
  const auto small = executor.submit(square, 3);
  REQUIRE(within(30s, [&] { return small.running(); }));
  ::kill(worker, SIGKILL);
  CHECK_THAT(failure_of(small), contains("was killed by signal 9"));
}

TEST_CASE("a worker that is killed in the middle of reading breaks the pool") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  ::kill(worker, SIGSTOP);
  // More than a socket holds: the rest waits in the pool.
  const auto large = executor.submit([](const std::vector<char>& bytes) { return bytes.size(); },
                                     std::vector<char>(8U << 20U));
  REQUIRE(within(30s, [&] { return large.running(); }));
  ::kill(worker, SIGKILL);
  CHECK_THAT(failure_of(large), contains("was killed by signal 9"));
}

TEST_CASE(
    "a worker that dies in the middle of writing breaks the pool, and what came before counts") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto before = executor.submit(square, 4);
  const auto torn = executor.submit([] {
    // Dies by an alarm clock while it writes a result that the pool cannot take in at once.
    std::thread([] {
      ::usleep(20000);
      ::kill(::getpid(), SIGKILL);
    }).detach();
    return std::vector<char>(std::size_t{1} << 30U, 'x');
  });
  CHECK_THAT(failure_of(torn), contains("was killed by signal 9"));
  CHECK(before.result() == 16);
}

TEST_CASE("a torn frame breaks the pool with a message") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto torn = executor.submit([] {
    for (const int socket : sockets()) {
      static_cast<void>(::send(socket, "1234567", 7, MSG_NOSIGNAL));
    }
    ::_exit(0);
  });
  CHECK_THAT(failure_of(torn), contains("exited with status 0"));
  CHECK_THROWS_AS(executor.submit(square, 2), BrokenProcessPool);
}

TEST_CASE("a corrupt frame breaks the pool with a message, never memory") {
  for (const std::size_t size : {32U, 64U, 4096U, 100000U}) {
    ProcessPoolExecutor executor({.max_workers = 1});
    const auto corrupt = executor.submit(
        [](std::size_t count) {
          std::string garbage(count, '\0');
          for (std::size_t i = 0; i < count; ++i) garbage[i] = static_cast<char>(i * 151 + 7);
          for (const int socket : sockets()) {
            static_cast<void>(::send(socket, garbage.data(), garbage.size(), MSG_NOSIGNAL));
          }
          return 1;
        },
        size);
    CHECK_THAT(failure_of(corrupt), contains("corrupt frame"));
    CHECK_THROWS_AS(executor.submit(square, 2), BrokenProcessPool);
  }
}

TEST_CASE("a task that closes all descriptors ends in an exception, not in a hang") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto closing = executor.submit([] {
    for (int number = 3; number < 1048576; ++number) ::close(number);
    return 1;
  });
  CHECK_THAT(failure_of(closing), contains("channel"));
  CHECK_THROWS_AS(executor.submit(square, 2), BrokenProcessPool);
}

TEST_CASE("a task that closes descriptors 3 to 1023 does not disturb its worker") {
  if (::sysconf(_SC_OPEN_MAX) < 1100) return;  // no room out of the way
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  executor
      .submit([] {
        for (int number = 3; number < 1024; ++number) ::close(number);
      })
      .result();
  CHECK(executor.submit(pid_of_worker).result() == worker);
}

TEST_CASE("a task that closes its channel and goes on is ended") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto lost = executor.submit([] {
    for (const int socket : sockets()) ::close(socket);
    for (;;) ::pause();
  });
  CHECK_THAT(failure_of(lost), contains("closed its channel"));
}

TEST_CASE("a task that closes what its worker sleeps on loses the worker, and nobody hangs") {
  const std::vector<int> of_the_program = pipes();
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto closing = executor.submit(
      [](const std::vector<int>& others) {
        for (const int pipe : bell_beside(others)) ::close(pipe);
        return 1;
      },
      of_the_program);
  CHECK(closing.result() == 1);
  CHECK(within(10s, [&] {
    try {
      executor.submit(square, 2).result(10s);
      return false;
    } catch (const BrokenProcessPool&) {
      return true;
    }
  }));
}

TEST_CASE("a task that makes what its worker sleeps on non-blocking does not disturb it") {
  const std::vector<int> of_the_program = pipes();
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto setting = executor.submit(
      [](const std::vector<int>& others) {
        for (const int pipe : bell_beside(others)) {
          ::fcntl(pipe, F_SETFL, ::fcntl(pipe, F_GETFL) | O_NONBLOCK);
        }
        return ::getpid();
      },
      of_the_program);
  const pid_t worker = setting.result();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(within(10s, [worker] { return sleeps(worker); }));
    CHECK(executor.submit(square, i).result() == i * i);
  }
}

TEST_CASE("a pool ends although a child of the program has inherited its descriptors") {
  pid_t child = 0;
  {
    ProcessPoolExecutor executor({.max_workers = 1});
    const pid_t worker = executor.submit(pid_of_worker).result();
    child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    REQUIRE(within(10s, [worker] { return sleeps(worker); }));
  }
  CHECK(::kill(child, 0) == 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a task that replaces its channel by a file of its own ends in an exception") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto replaced = executor.submit([] {
    const int file = ::open("/dev/null", O_RDWR);
    for (const int socket : sockets()) ::dup2(file, socket);
    return 1;
  });
  CHECK_THAT(failure_of(replaced), contains("channel"));
}

TEST_CASE("a result is never written to a socket of the task's that took the channel's place") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto replaced = executor.submit([] {
    std::array<int, 2> own{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, own.data()) != 0) return 1;
    if (::fork() == 0) {
      ::close(own[0]);
      for (const int socket : sockets()) {
        if (socket != own[1]) ::close(socket);
      }
      char byte = 0;
      board()->flag[0] = ::read(own[1], &byte, 1) == 0 ? 1 : 2;
      ::_exit(0);
    }
    ::close(own[1]);
    for (const int socket : sockets()) {
      if (socket != own[0]) ::dup2(own[0], socket);
    }
    return 1;
  });
  CHECK_THAT(failure_of(replaced), contains("channel"));
  REQUIRE(within(10s, [] { return board()->flag[0] != 0; }));
  CHECK(board()->flag[0] == 1);  // the end, and nothing before it
}

TEST_CASE("a task that forks does not disturb the channel") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto forked = executor.submit([] {
    const pid_t child = ::fork();  // the child returns from the task too
    if (child != 0) ::waitpid(child, nullptr, 0);
    return child != 0 ? 1 : 2;
  });
  CHECK(forked.result() == 1);
  CHECK(executor.submit(square, 3).result() == 9);
}

TEST_CASE("a death is noticed although a child of the task holds the channel open") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto dies = executor.submit([] {
    if (::fork() == 0) {
      ::setsid();  // out of its worker's group
      sleep_until_flag(0);
      ::_exit(0);
    }
    ::raise(SIGKILL);
  });
  CHECK_THAT(failure_of(dies), contains("was killed by signal 9"));
  board()->flag[0] = 1;
}

TEST_CASE("an argument that cannot be written fails its own future only") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto failed = executor.submit([](const FailsToWrite&) {}, FailsToWrite{});
  CHECK(fails_with<std::invalid_argument>(failed));
  CHECK(executor.submit(square, 5).result() == 25);
}

TEST_CASE("a result that cannot be written fails its own future only") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto failed = executor.submit([] { return FailsToWrite{}; });
  CHECK(failure_of(failed) == "this one cannot be written");
  CHECK(executor.submit(square, 5).result() == 25);
}

TEST_CASE("an argument that cannot be read back breaks the pool") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto failed = executor.submit([](const FailsToRead&) {}, FailsToRead{});
  CHECK_THAT(failure_of(failed), contains("could not be read back in worker process"));
  CHECK_THAT(failure_of(failed), contains("this one cannot be read"));
  CHECK_THROWS_AS(executor.submit(square, 5), BrokenProcessPool);
}

TEST_CASE("an argument that reads beyond its message breaks the pool, never memory") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto failed = executor.submit([](const ReadsTooMuch&) {}, ReadsTooMuch{});
  CHECK_THAT(failure_of(failed), contains("longer than the message"));
}

TEST_CASE("a result that cannot be read back breaks the pool") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto failed = executor.submit([] { return FailsToRead{}; });
  CHECK_THAT(failure_of(failed), contains("could not be read back"));
  CHECK_THROWS_AS(executor.submit(square, 5), BrokenProcessPool);
}

TEST_CASE("a task that overruns its timeout is killed, and the pool goes on") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const auto slow =
      executor.submit(TaskOptions{.name = "slow", .timeout = 30ms}, [] { ::pause(); });
  const auto fine = executor.submit(TaskOptions{.timeout = 60s}, square, 4);
  CHECK(fails_with<TimeoutError>(slow));
  CHECK_THAT(failure_of(slow), contains("the task 'slow' ran for longer than its timeout"));
  CHECK(fine.result() == 16);
  for (int i = 0; i < 20; ++i) CHECK(executor.submit(square, i).result() == i * i);
}

TEST_CASE("what a task has started dies with its worker when that is killed") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto task = executor.submit([] {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    board()->pid[1] = child;
    board()->pid[0] = ::getpid();
    ::pause();
  });
  REQUIRE(within(30s, [] { return board()->pid[0] != 0; }));
  ::kill(board()->pid[0], SIGKILL);
  CHECK(fails_with<BrokenProcessPool>(task));
  CHECK(within(2s, [] { return gone(board()->pid[1]); }));
}

TEST_CASE("kill_workers and terminate_workers stop everything at once") {
  const bool by_kill = GENERATE(true, false);
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 2});
  std::vector<Future<void>> running;
  for (int i = 0; i < 2; ++i) {
    running.push_back(executor.submit([] {
      board()->pid.at(static_cast<std::size_t>(board()->flag[0]++)) = ::getpid();
      for (;;) ::pause();
    }));
  }
  std::vector<Future<int>> queued;
  for (int i = 0; i < 20; ++i) queued.push_back(executor.submit(square, i));
  REQUIRE(within(30s, [] { return board()->pid[0] != 0 && board()->pid[1] != 0; }));
  if (by_kill) {
    executor.kill_workers();
  } else {
    executor.terminate_workers();
  }
  const std::string by = by_kill ? "kill_workers()" : "terminate_workers()";
  for (const auto& future : running) {
    CHECK(fails_with<BrokenProcessPool>(future));
    CHECK_THAT(failure_of(future), contains(by));
  }
  for (const auto& future : queued) CHECK(fails_with<CancelledError>(future));
  CHECK_THROWS_AS(executor.submit(square, 1), ShutdownError);
  CHECK(within(10s, [] { return gone(board()->pid[0]) && gone(board()->pid[1]); }));
  executor.shutdown();
  CHECK(children().empty());
}

TEST_CASE("kill_workers is harmless on unstarted and on dead workers") {
  ProcessPoolExecutor unstarted({.max_workers = 2});
  unstarted.kill_workers();
  unstarted.terminate_workers();

  ProcessPoolExecutor dead({.max_workers = 1});
  const auto death = dead.submit([] { ::raise(SIGKILL); });
  CHECK(fails_with<BrokenProcessPool>(death));
  dead.kill_workers();
  dead.terminate_workers();
  CHECK_THROWS_AS(dead.submit(square, 1), BrokenProcessPool);
}

TEST_CASE("no replacement escapes kill_workers") {
  for (int round = 0; round < 20; ++round) {
    const SharedBoard shared;
    ProcessPoolExecutor executor({.max_workers = 4, .max_tasks_per_child = 1});
    std::vector<Future<int>> futures;
    for (int i = 0; i < 50; ++i) {
      futures.push_back(executor.submit([] { return ++board()->flag[0]; }));
    }
    while (board()->flag[0] < round) ::usleep(100);
    executor.kill_workers();
    executor.shutdown();
    const int done = board()->flag[0];
    ::usleep(2000);
    CHECK(board()->flag[0] == done);
    CHECK(children().empty());
    for (const auto& future : futures) CHECK(future.done());
  }
}

TEST_CASE("the death of the fork server breaks the pool and ends the workers") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto task = executor.submit([] {
    board()->pid[1] = ::getppid();
    board()->pid[0] = ::getpid();
    ::pause();
  });
  REQUIRE(within(30s, [] { return board()->pid[0] != 0; }));
  ::kill(board()->pid[1], SIGKILL);
  CHECK_THAT(failure_of(task), contains("fork server"));
  CHECK(within(2s, [] { return gone(board()->pid[0]); }));
}

TEST_CASE("a worker's death is noticed although the fork server is stopped") {
  const SharedBoard shared;
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto task = executor.submit([] {
    board()->pid[1] = ::getppid();
    board()->pid[0] = ::getpid();
    ::pause();
  });
  REQUIRE(within(30s, [] { return board()->pid[0] != 0; }));
  ::kill(board()->pid[1], SIGSTOP);
  ::kill(board()->pid[0], SIGKILL);
  CHECK_THAT(failure_of(task), contains("worker process " + std::to_string(board()->pid[0])));
}

TEST_CASE("a pool ends although an idle worker of it has been stopped") {
  std::optional<ProcessPoolExecutor> executor(std::in_place, std::size_t{1});
  ::kill(executor->submit(pid_of_worker).result(), SIGSTOP);
  executor.reset();
  CHECK(children().empty());
}

TEST_CASE("when many workers die under load, every future has exactly one outcome") {
  for (int round = 0; round < 15; ++round) {
    const SharedBoard shared;
    std::vector<Future<int>> futures;
    {
      ProcessPoolExecutor executor({.max_workers = 4});
      for (int i = 0; i < 300; ++i) {
        futures.push_back(executor.submit(
            [](int x) {
              board()->pid.at(static_cast<std::size_t>(x % 4)) = ::getpid();
              return x;
            },
            i));
      }
      const auto victim = static_cast<std::size_t>(round % 4);
      REQUIRE(within(30s, [&] { return board()->pid.at(victim) != 0; }));
      ::kill(board()->pid.at(victim), SIGKILL);
    }
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < futures.size(); ++i) {
      REQUIRE(futures[i].done());
      const bool failed = futures[i].exception() != nullptr;
      wrong += failed ? !fails_with<BrokenProcessPool>(futures[i])
                      : futures[i].result() != static_cast<int>(i);
    }
    CHECK(wrong == 0);
  }
}
