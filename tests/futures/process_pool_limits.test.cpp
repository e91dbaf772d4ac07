// SPDX-License-Identifier: MIT

// What workers may use: limits, and the sandbox.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <cstdint>
#include <cstdlib>
#include <new>
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

std::size_t take_memory(std::size_t bytes) { return std::vector<char>(bytes, 'x').size(); }
[[noreturn]] void use_the_processor() {
  std::atomic<unsigned> turns{0};
  for (;;) turns.fetch_add(1);
}
int niceness() { return ::getpriority(PRIO_PROCESS, 0); }
std::uint64_t core_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_cur;
}
/// 0, or why not.
int open_many(int count) {
  std::vector<int> opened;
  int error = 0;
  for (int i = 0; i < count && error == 0; ++i) {
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    descriptor < 0 ? static_cast<void>(error = errno) : opened.push_back(descriptor);
  }
  for (const int descriptor : opened) ::close(descriptor);
  return error;
}
int open_socket() { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }
int make_file(const std::string& path) { return ::creat(path.c_str(), 0600) < 0 ? errno : 0; }
int start_program() {
  char name[] = "/bin/true";
  char* const arguments[] = {name, nullptr};
  ::execv(name, arguments);
  return errno;
}
int signal_parent() { return ::kill(::getppid(), 0) < 0 ? errno : 0; }
int throw_text(const std::string& text) { throw std::runtime_error(text); }

}  // namespace

TEST_CASE("a limit of zero seconds is refused") {
  CHECK_THROWS_WITH(ProcessPoolExecutor({.max_workers = 1, .limits = {.cpu_time = 0s}}),
                    contains("cpu_time"));
}

TEST_CASE("more memory than a worker may have is std::bad_alloc in the task") {
  if (support::sanitized) return;  // whose shadow takes more than any limit
  constexpr std::size_t limit = std::size_t{2} << 30U;
  ProcessPoolExecutor executor({.max_workers = 1, .limits = {.address_space = limit}});
  CHECK_THROWS_AS(executor.submit(take_memory, 2 * limit).result(60s), std::bad_alloc);
  CHECK(executor.submit(take_memory, std::size_t{1} << 20U).result(60s) == std::size_t{1} << 20U);
}

TEST_CASE("a worker that uses more CPU time than it may is killed") {
  ProcessPoolExecutor executor({.max_workers = 1,
                                .on_worker_death = OnWorkerDeath::restart,
                                .limits = {.cpu_time = 1s, .core_dumps = false}});
  try {
    executor.submit(use_the_processor).result(120s);
    FAIL("it was not killed");
  } catch (const WorkerDied& error) {
    CHECK((error.signal == SIGXCPU || error.signal == SIGKILL));
  }
  CHECK(executor.submit(niceness).result(60s) == niceness());
}

TEST_CASE("workers have the open files, the niceness and the core files that they are given") {
  ProcessPoolExecutor executor(
      {.max_workers = 1, .limits = {.open_files = 64, .nice = 3, .core_dumps = false}});
  CHECK(executor.submit(open_many, 100).result(60s) == EMFILE);
  CHECK(executor.submit(open_many, 10).result(60s) == 0);
  CHECK(executor.submit(niceness).result(60s) == (std::min)(niceness() + 3, 19));
  CHECK(executor.submit(core_limit).result(60s) == 0);
}

TEST_CASE("a limit that the system refuses breaks the pool, and is named") {
  ProcessPoolExecutor executor(
      {.max_workers = 1, .limits = {.open_files = std::uint64_t{1} << 40U}});
  CHECK_THAT(failure_of(executor.submit(niceness)), contains("cannot limit the open files"));
}

TEST_CASE("in the sandbox there are no new files, sockets and programs, and all else works") {
  const std::string path = "/tmp/concurrent-sandbox-" + std::to_string(::getpid());
  ProcessPoolExecutor executor({.max_workers = 1,
                                .initializer =
                                    [] {
                                      if (open_many(1) != 0) throw std::logic_error("too early");
                                    },
                                .sandbox = true});
  CHECK(executor.submit(open_many, 1).result(60s) == EPERM);
  CHECK(executor.submit(make_file, path).result(60s) == EPERM);
  CHECK(::access(path.c_str(), F_OK) != 0);
  CHECK(executor.submit(open_socket).result(60s) == EPERM);
  CHECK(executor.submit(start_program).result(60s) == EPERM);
  CHECK(executor.submit(signal_parent).result(60s) == EPERM);
  CHECK(executor.submit(take_memory, std::size_t{50'000'000}).result(60s) == 50'000'000);
  CHECK(failure_of(executor.submit(throw_text, std::string("home"))) == "home");
  const auto text =
      executor.submit([](std::string given) { return given + given; }, std::string(2'000'000, 'y'));
  CHECK(text.result(60s).size() == 4'000'000);
}

TEST_CASE("in the sandbox a crash is a crash still") {
  ProcessPoolExecutor executor({.max_workers = 1,
                                .on_worker_death = OnWorkerDeath::restart,
                                .limits = {.core_dumps = false},
                                .sandbox = true});
  try {
    executor.submit([] { std::abort(); }).result(60s);
    FAIL("it did not crash");
  } catch (const WorkerDied& error) {
    CHECK(error.signal == SIGABRT);
  }
  CHECK(executor.submit(open_socket).result(60s) == EPERM);
}
