// SPDX-License-Identifier: MIT

// What a process pool leaves alone and what it leaves behind: descriptors, signals, buffers, exit
// handlers, processes.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <cerrno>
#include <concurrent/futures/process_pool.hpp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace process_test;
using namespace std::chrono_literals;
using support::matchers::contains;

namespace {

/// UBSan opens a pipe when it first sees an object's type, and takes its failure for a fault of the
/// program: it can watch nothing that has run out of descriptors.
#if defined(__has_feature)
constexpr bool needs_descriptors = __has_feature(undefined_behavior_sanitizer);
#else
constexpr bool needs_descriptors = false;
#endif

/// A limit of this process, until the end of the scope.
class Limit {
 public:
  explicit Limit(rlim_t open_files) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low{open_files, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  ~Limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

/// What SIGCHLD does, until the end of the scope.
class ChildSignal {
 public:
  explicit ChildSignal(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGCHLD, &action, &before_);
  }
  ChildSignal(const ChildSignal&) = delete;
  ChildSignal& operator=(const ChildSignal&) = delete;
  ~ChildSignal() { ::sigaction(SIGCHLD, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("a worker has the shared memory of its own pool, and of no other") {
  const auto shared_mappings = [] {
    std::ifstream maps("/proc/self/maps");
    std::vector<int> count{0, 0};
    for (std::string line; std::getline(maps, line);) {
      char* rest = nullptr;
      const std::uint64_t begin = std::strtoull(line.c_str(), &rest, 16);
      const std::uint64_t size = std::strtoull(rest + 1, nullptr, 16) - begin;
      const bool anonymous = line.find("/dev/zero") != std::string::npos;
      if (anonymous && size > std::uint64_t{1} << 30U) ++count[0];         // arena and heap
      if (line.find("memfd:concurrent") != std::string::npos) ++count[1];  // rings
    }
    return count;
  };
  ProcessPoolExecutor before({.max_workers = 2});
  CHECK(before.submit(shared_mappings).result() == std::vector<int>{2, 1});
  ProcessPoolExecutor executor({.max_workers = 1});
  CHECK(executor.submit(shared_mappings).result() == std::vector<int>{2, 1});
  ProcessPoolExecutor::Options apart{.max_workers = 1};
  apart.limits.address_space = std::uint64_t{1} << 50U;
  ProcessPoolExecutor limited(apart);
  CHECK(limited.submit(shared_mappings).result() == std::vector<int>{0, 1});
}

TEST_CASE("a worker that has nothing to do keeps no memory of large results") {
  const auto shared_memory_of = [](pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    std::size_t kib = 0;
    for (std::string word; status >> word;) {
      if (word == "RssShmem:") status >> kib;
    }
    return kib / 1024;
  };
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(::getpid).result();
  executor.submit([] { return std::vector<char>(std::size_t{32} << 20U, 'x'); }).result();
  CHECK(shared_memory_of(worker) >= 32);
  CHECK(within(60s, [&] { return shared_memory_of(worker) < 8; }));
}

TEST_CASE("pools that were made and destroyed leave nothing behind") {
  { ProcessPoolExecutor warm_up({.max_workers = 1}); }
  const auto descriptors_before = descriptors();
  const std::size_t threads_before = thread_count();
  for (int i = 0; i < 100; ++i) {
    ProcessPoolExecutor executor({.max_workers = 2});
    if (i % 3 == 0) continue;
    CHECK(executor.submit(square, i).result() == i * i);
    if (i % 3 == 1) executor.kill_workers();
  }
  CHECK(descriptors() == descriptors_before);
  CHECK(within(5s, [&] { return thread_count() == threads_before; }));
  CHECK(children().empty());
}

TEST_CASE("broken pools leave nothing behind") {
  { ProcessPoolExecutor warm_up({.max_workers = 1}); }
  const auto descriptors_before = descriptors();
  for (int i = 0; i < 30; ++i) {
    ProcessPoolExecutor executor({.max_workers = 2});
    const auto lives = executor.submit([] { ::usleep(1000); });
    const auto dies = executor.submit([] { ::raise(SIGKILL); });
    CHECK(fails_with<BrokenProcessPool>(dies));
  }
  CHECK(descriptors() == descriptors_before);
  CHECK(children().empty());
}

TEST_CASE("a worker has no descriptor of the library but its channel") {
  const auto of_the_program = descriptors();
  std::vector<std::unique_ptr<ProcessPoolExecutor>> others;
  for (int i = 0; i < 5; ++i) {
    others.push_back(std::make_unique<ProcessPoolExecutor>(2));
    CHECK(others.back()->submit(square, 2).result() == 4);
  }
  const int own = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);  // the program's own are inherited
  ProcessPoolExecutor executor({.max_workers = 1});
  const pid_t worker = executor.submit(pid_of_worker).result();
  auto in_worker = descriptors(std::to_string(worker));
  CHECK(in_worker[own] == "/dev/zero");
  ::close(own);
  in_worker.erase(own);
  for (const auto& [number, target] : of_the_program) in_worker.erase(number);
  CHECK(in_worker.size() == 2);
  CHECK(in_worker.begin()->second.starts_with("socket:"));
  CHECK(in_worker.rbegin()->second.starts_with("pipe:"));
}

TEST_CASE("more descriptors on their way than a user may have break nothing") {
  if (needs_descriptors) {
    WARN("not tested: UBSan needs descriptors itself");
    return;
  }
  const SharedBoard shared;
  const ChildResult child = run_in_child([] {
    constexpr int workers = 24;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t before =
        std::exchange(limit.rlim_cur, static_cast<rlim_t>(descriptors().rbegin()->first) + 60);
    ::setrlimit(RLIMIT_NOFILE, &limit);                     // the fork server's from now on
    if (::getuid() == 0 && ::setuid(65534) != 0) return 1;  // root may do anything
    std::deque<ProcessPoolExecutor> pools;                  // one user's
    for (int i = 0; i < 3; ++i)
      pools.emplace_back(ProcessPoolExecutor::Options{.max_workers = workers});
    limit.rlim_cur = before;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto meet = [](std::size_t pool) {  // each in a worker of its own
      ++board()->flag[pool];
      while (board()->flag[pool] < workers) ::usleep(1000);
    };
    std::vector<Future<void>> tasks;
    for (std::size_t i = 0; i < pools.size(); ++i) {
      tasks.push_back(pools[i].submit([] {}));
      // Nobody receives meanwhile.
      tasks.back().add_done_callback([](const Future<void>&) { ::usleep(300'000); });
      for (int j = 0; j < workers; ++j) tasks.push_back(pools[i].submit(meet, i));
    }
    for (const auto& task : tasks) task.result();
    return 0;
  });
  CHECK(is_quiet(child.status));
}

TEST_CASE("running out of descriptors is an exception that says so, and nothing is left") {
  if (needs_descriptors) {
    WARN("not tested: UBSan needs descriptors itself");
    return;
  }
  { ProcessPoolExecutor warm_up({.max_workers = 1}); }
  const auto before = descriptors();
  const auto highest = static_cast<rlim_t>(before.rbegin()->first) + 1;
  for (rlim_t more = 0; more < 12; ++more) {
    try {
      const Limit limit(highest + more);
      ProcessPoolExecutor executor({.max_workers = 1});
      const auto task = executor.submit(square, 3);
      const std::string failure = failure_of(task);
      if (!failure.empty()) CHECK_THAT(failure, contains("Too many open files"));
    } catch (const std::system_error& error) {
      CHECK(error.code() == std::errc::too_many_files_open);
    }
    CHECK(descriptors() == before);
  }
  CHECK(children().empty());
}

TEST_CASE("a pool that can start only some of its workers works with those") {
  if (needs_descriptors) {
    WARN("not tested: UBSan needs descriptors itself");
    return;
  }
  { ProcessPoolExecutor warm_up({.max_workers = 1}); }
  const auto before = descriptors();
  const Limit limit(static_cast<rlim_t>(before.rbegin()->first) + 14);
  ProcessPoolExecutor executor({.max_workers = 50});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 300; ++i) futures.push_back(executor.submit(square, i));
  for (int i = 0; i < 300; ++i) CHECK(futures[static_cast<std::size_t>(i)].result(60s) == i * i);
}

TEST_CASE("pools work when the program ignores SIGCHLD") {
  const ChildSignal ignored(SIG_IGN);
  ProcessPoolExecutor executor({.max_workers = 2, .max_tasks_per_child = 2});
  for (int i = 0; i < 10; ++i) CHECK(executor.submit(square, i).result() == i * i);
  const auto dies = executor.submit([] { ::_exit(9); });
  CHECK_THAT(failure_of(dies), contains("exited with status 9"));
}

TEST_CASE("pools work when the program handles SIGCHLD and reaps every child") {
  const ChildSignal reaps(+[](int) {
    const int error = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = error;
  });
  for (int round = 0; round < 20; ++round) {
    ProcessPoolExecutor executor({.max_workers = 2, .max_tasks_per_child = 2});
    for (int i = 0; i < 5; ++i) CHECK(executor.submit(square, i).result() == i * i);
    const auto dies = executor.submit([] { ::_exit(9); });
    CHECK_THAT(failure_of(dies), contains("exited with status 9"));
  }
}

TEST_CASE("signals do in a worker what they do by default, whatever the program does with them") {
  const auto previous = std::signal(SIGUSR1, SIG_IGN);
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  {
    ProcessPoolExecutor executor({.max_workers = 1});
    const auto is_default = executor.submit([] {
      struct sigaction action {};
      ::sigaction(SIGUSR1, nullptr, &action);
      sigset_t mask;
      ::sigprocmask(SIG_BLOCK, nullptr, &mask);
      return action.sa_handler == SIG_DFL && ::sigismember(&mask, SIGUSR2) == 0;
    });
    CHECK(is_default.result());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::signal(SIGUSR1, previous);
}

TEST_CASE("a worker is in a process group of its own, in the program's session") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const auto group = executor.submit([] { return ::getpgid(0) == ::getpid(); });
  const auto session = executor.submit([] { return ::getsid(0); });
  CHECK(group.result());
  CHECK(session.result() == ::getsid(0));
}

TEST_CASE("the terminal is for the program, not for its workers") {
  const ChildResult child = run_in_child([] {
    const int keyboard = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (keyboard < 0 || ::unlockpt(keyboard) != 0 || ::setsid() < 0) return 1;
    const int terminal = ::open(::ptsname(keyboard), O_RDWR);  // the session's from now on
    termios settings{};
    if (::tcgetattr(terminal, &settings) != 0) return 2;
    settings.c_lflag |= TOSTOP;  // who is in the background must not write
    if (::tcsetattr(terminal, TCSANOW, &settings) != 0) return 3;
    static volatile std::sig_atomic_t interrupts = 0;
    struct sigaction count {};
    count.sa_handler = [](int) { interrupts = interrupts + 1; };
    ::sigaction(SIGINT, &count, nullptr);

    ProcessPoolExecutor executor({.max_workers = 1});
    const pid_t before = executor.submit([] { return ::getpid(); }).result();
    const char control_c = '\x03';
    if (::write(keyboard, &control_c, 1) != 1) return 4;
    while (interrupts == 0) ::usleep(1000);
    const auto written = executor.submit([](int tty) { return ::write(tty, "x", 1); }, terminal);
    if (written.result() != 1) return 5;
    const auto opened = executor.submit([] { return ::open("/dev/tty", O_RDWR); });
    if (opened.result() != -1 || ::open("/dev/tty", O_RDWR) < 0) return 7;
    return executor.submit([] { return ::getpid(); }).result() == before ? 0 : 6;
  });
  CHECK(is_quiet(child.status));
}

TEST_CASE("the program's standard input is not for its workers") {
  const ChildResult child = run_in_child([] {
    std::array<int, 2> input{};
    if (::pipe(input.data()) != 0) return 1;
    ::dup2(input[0], STDIN_FILENO);
    if (::write(input[1], "x", 1) != 1) return 2;
    ProcessPoolExecutor executor({.max_workers = 1});
    const auto read = executor.submit([] {
      char byte = 0;
      return ::read(STDIN_FILENO, &byte, 1);
    });
    return read.result() == 0 ? 0 : 3;
  });
  CHECK(is_quiet(child.status));
}

TEST_CASE("what tasks print arrives whole, and what the parent has not flushed comes out once") {
  const ChildResult child = run_in_child([] {
    std::printf("parent\n");  // stays in the buffer: the output is a pipe
    ProcessPoolExecutor executor({.max_workers = 2});
    executor.submit([] { std::printf("task one\n"); }).result();
    executor.submit([] { std::cout << "task two\n"; }).result();
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK(child.output == "task one\ntask two\nparent\n");
}

TEST_CASE("the same holds when std::cout has a buffer of its own") {
  const ChildResult child = run_in_child([] {
    std::ios_base::sync_with_stdio(false);
    std::cout << "parent\n";
    {
      ProcessPoolExecutor executor({.max_workers = 1});
      executor.submit([] { std::cout << "task one\n"; }).result();
      executor.submit([] { std::cout << "task two\n"; }).result();
    }
    std::cout.flush();
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK(child.output == "task one\ntask two\nparent\n");
}

TEST_CASE("what a task has printed before it exits or dies of an exit arrives too") {
  const ChildResult child = run_in_child([] {
    ProcessPoolExecutor executor({.max_workers = 1});
    const auto exits = executor.submit([] {
      std::printf("last words\n");
      std::exit(1);
    });
    return fails_with<BrokenProcessPool>(exits) ? 0 : 1;
  });
  CHECK(is_quiet(child.status));
  CHECK(child.output == "last words\n");
}

TEST_CASE("the parent's exit handlers and static destructors never run in a worker") {
  const ChildResult child = run_in_child([] {
    std::atexit([] { static_cast<void>(::write(STDOUT_FILENO, "handler\n", 8)); });
    {
      ProcessPoolExecutor executor({.max_workers = 1, .max_tasks_per_child = 1});
      executor.submit(square, 2).result();
      const auto exits = executor.submit([] { std::exit(0); });
      if (!fails_with<BrokenProcessPool>(exits)) return 1;
    }
    std::exit(0);
  });
  CHECK(is_quiet(child.status));
  CHECK(child.output == "handler\n");
}

TEST_CASE("a pool with static lifetime ends with the program") {
  const ChildResult child = run_in_child([]() -> int {
    static ProcessPoolExecutor executor({.max_workers = 2});
    executor.submit(square, 2).result();
    executor.post([] { std::printf("queued at exit\n"); });
    std::exit(0);
  });
  CHECK(is_quiet(child.status));
  CHECK(child.output == "queued at exit\n");
  CHECK(children().empty());
}

TEST_CASE("a pool that is never destroyed ends with the program too") {
  const SharedBoard shared;
  const ChildResult child = run_in_child([]() -> int {
    auto* const leaked = new ProcessPoolExecutor(1);
    board()->pid[0] = leaked->submit(pid_of_worker).result();
    ::_exit(0);
  });
  CHECK(is_quiet(child.status));
  CHECK(within(2s, [] { return gone(board()->pid[0]); }));
}

TEST_CASE("SIGKILL of the parent ends its workers and all that tasks have started within 2 s") {
  const bool by_thread = GENERATE(true, false);  // the thread that made the pool has ended
  const SharedBoard shared;
  const pid_t parent = ::fork();
  if (parent == 0) {
    ProcessPoolExecutor* executor = nullptr;
    const auto make = [&] { executor = new ProcessPoolExecutor(2); };
    if (by_thread) {
      std::thread(make).join();
    } else {
      make();
    }
    const auto busy = executor->submit([] {
      board()->pid[0] = ::getpid();
      const pid_t child = ::fork();
      if (child == 0) {
        if (::fork() == 0) {
          ::setsid();  // a daemon
          board()->pid[2] = ::getpid();
          for (;;) ::pause();
        }
        board()->pid[1] = ::getpid();
        for (;;) ::pause();
      }
      for (;;) ::pause();
    });
    board()->pid[3] = executor->submit([] { return ::getpid(); }).result();
    board()->flag[0] = 1;
    for (;;) ::pause();
  }
  REQUIRE(within(30s, [] {
    return board()->flag[0] != 0 && board()->pid[0] != 0 && board()->pid[1] != 0 &&
           board()->pid[2] != 0;
  }));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  CHECK(within(2s, [] {
    return gone(board()->pid[0]) && gone(board()->pid[1]) && gone(board()->pid[2]) &&
           gone(board()->pid[3]);
  }));
}

TEST_CASE("what a task has started ends with a parent whose sockets close before it is dead") {
  const SharedBoard shared;
  const pid_t parent = ::fork();
  if (parent == 0) {
    ProcessPoolExecutor executor({.max_workers = 1});
    board()->pid[0] = executor.submit(pid_of_worker).result();
    const auto leaves_a_daemon = executor.submit([] {
      const pid_t child = ::fork();
      if (child != 0) return child;
      ::setsid();
      for (;;) ::pause();
    });
    board()->pid[1] = leaves_a_daemon.result();
    for (const auto& [number, target] : descriptors()) {
      if (target.starts_with("socket:")) ::shutdown(number, SHUT_RDWR);
    }
    static_cast<void>(within(30s, [] { return gone(board()->pid[0]); }));
    ::usleep(50'000);  // time for a mistake: the server may end only now
    ::raise(SIGKILL);
  }
  ::waitpid(parent, nullptr, 0);
  CHECK(gone(board()->pid[0]));
  CHECK(within(2s, [] { return gone(board()->pid[1]); }));
  if (!gone(board()->pid[1])) ::kill(board()->pid[1], SIGKILL);
}

TEST_CASE("a pool can be made while other threads hold the locks of malloc and stdio") {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&stop] {
      std::FILE* const sink = std::fopen("/dev/null", "we");
      while (!stop) {
        std::vector<std::string> strings(50, std::string(100, 'x'));
        std::fprintf(sink, "%s", strings[0].c_str());
      }
      std::fclose(sink);
    });
  }
  threads.emplace_back([&stop] {
    ::flockfile(stdout);
    while (!stop) ::usleep(1000);
    ::funlockfile(stdout);
  });
  for (int round = 0; round < 30; ++round) {
    ProcessPoolExecutor executor({.max_workers = 2});
    const auto text = executor.submit(
        [](std::string word) {
          std::printf("%s", "");
          return word + word;
        },
        std::string("ab"));
    CHECK(text.result(60s) == "abab");
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

TEST_CASE("pools can be made and used by many threads at once") {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&wrong, i] {
      for (int round = 0; round < 10; ++round) {
        ProcessPoolExecutor executor({.max_workers = 2});
        std::vector<Future<int>> futures;
        for (int k = 0; k < 20; ++k) futures.push_back(executor.submit(square, i + k));
        for (int k = 0; k < 20; ++k) {
          wrong += futures[static_cast<std::size_t>(k)].result() != (i + k) * (i + k) ? 1 : 0;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(children().empty());
}

TEST_CASE("a child that the program forks does not keep a pool from ending") {
  ProcessPoolExecutor executor({.max_workers = 2});
  CHECK(executor.submit(square, 2).result() == 4);
  const pid_t bystander = ::fork();  // has a copy of every descriptor of the pool
  if (bystander == 0) {
    for (;;) ::pause();
  }
  executor.shutdown();
  CHECK(children() == std::vector<pid_t>{bystander});
  ::kill(bystander, SIGKILL);
  ::waitpid(bystander, nullptr, 0);
}

TEST_CASE("Ctrl-C ends the program as it would without a pool, and workers print nothing") {
  const SharedBoard shared;
  const ChildResult child = run_in_child([] {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    std::signal(SIGINT, SIG_DFL);
    ::setpgid(0, 0);
    ProcessPoolExecutor executor({.max_workers = 2});
    const auto sleeps = executor.submit([] {
      board()->pid[0] = ::getpid();
      for (;;) ::pause();
    });
    while (board()->pid[0] == 0) ::usleep(100);
    ::kill(0, SIGINT);  // what the terminal does: to the whole group
    for (;;) ::pause();
    return 0;
  });
  CHECK(WIFSIGNALED(child.status));
  CHECK(WTERMSIG(child.status) == SIGINT);
  CHECK(child.output.empty());
  CHECK(within(2s, [] { return gone(board()->pid[0]); }));
}

TEST_CASE("a system that gives no more processes is an exception that says so") {
  const ChildResult child = run_in_child([] {
    // root may always fork
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) std::printf("not root; ");
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    const auto before = descriptors();
    try {
      const ProcessPoolExecutor executor({.max_workers = 1});
    } catch (const std::system_error& error) {
      std::printf("%s", error.what());
    }
    return descriptors() == before ? 0 : 1;
  });
  CHECK(is_quiet(child.status));
  CHECK_THAT(child.output, contains("Resource temporarily unavailable"));
}

TEST_CASE("a pool whose server can fork no worker is broken, and says why") {
  const ChildResult child = run_in_child([] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) std::printf("not root; ");
    ProcessPoolExecutor executor({.max_workers = 1});
    const rlimit none{0, 0};
    ::prlimit(children().at(0), RLIMIT_NPROC, &none, nullptr);
    std::printf("%s", failure_of(executor.submit(square, 2)).c_str());
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK_THAT(child.output, contains("no worker process could be started: Resource temporarily "
                                    "unavailable"));
}

TEST_CASE("a program that has closed its standard streams can use pools") {
  const SharedBoard shared;
  const ChildResult child = run_in_child([] {
    ::close(STDIN_FILENO);
    ::close(STDOUT_FILENO);
    ::close(STDERR_FILENO);
    {
      ProcessPoolExecutor executor({.max_workers = 2});
      std::printf("into nothing\n");
      std::fflush(stdout);
      board()->flag[0] = executor.submit(square, 6).result();
    }
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK(board()->flag[0] == 36);
}
