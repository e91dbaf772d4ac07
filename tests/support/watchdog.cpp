// SPDX-License-Identifier: MIT

#include "support/watchdog.hpp"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SUPPORT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SUPPORT_SANITIZED 1
#endif
#endif

namespace support {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int default_limit_seconds = 300;
#ifdef SUPPORT_SANITIZED
constexpr milliseconds grace_for_orphans{10'000};
#else
constexpr milliseconds grace_for_orphans{2'000};
#endif
constexpr seconds limit_of_debugger{60};
constexpr int status_overrun = 124;  // as timeout(1) has it
constexpr int status_orphans = 125;

/// What the tests tell the watcher, in memory that both share. `begin` is written last (release)
/// and read first (acquire), so that a new beginning never meets an old limit for longer than one
/// look.
struct Page {
  std::atomic<std::int64_t> begin;  // when the test case began, in ticks of Clock
  std::atomic<int> limit_seconds;
  std::array<char, 256> name;
};

Page* page = nullptr;
int program_limit_seconds = default_limit_seconds;

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';
};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The numbers among the entries of a folder of /proc.
std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> numbers;
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) return numbers;
  while (const dirent* entry = ::readdir(directory)) {
    const int number = std::atoi(&entry->d_name[0]);
    if (number > 0) numbers.push_back(number);
  }
  ::closedir(directory);
  return numbers;
}

std::vector<Process> all_processes() {
  std::vector<Process> processes;
  for (const pid_t pid : numbers_in("/proc")) {
    const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
    const auto after_name = stat.rfind(')');  // the name may hold spaces and parentheses
    if (after_name == std::string::npos) continue;
    Process process{.pid = pid};
    std::istringstream(stat.substr(after_name + 1)) >> process.state >> process.parent;
    processes.push_back(process);
  }
  return processes;
}

/// Everything below this process that is not a zombie, parents before children.
std::vector<pid_t> living_descendants() {
  std::multimap<pid_t, Process> children;
  for (const Process& process : all_processes()) children.emplace(process.parent, process);
  std::vector<pid_t> order{::getpid()};
  std::vector<pid_t> living;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [first, last] = children.equal_range(order[i]);
    for (auto child = first; child != last; ++child) {
      order.push_back(child->second.pid);
      if (child->second.state != 'Z' && child->second.state != 'X') {
        living.push_back(child->second.pid);
      }
    }
  }
  return living;
}

std::string command_line(pid_t pid) {
  std::string text = slurp("/proc/" + std::to_string(pid) + "/cmdline");
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

const char* test_case_name() { return page->name[0] == '\0' ? "(none yet)" : page->name.data(); }

int wake_threads_signal() { return SIGRTMAX - 1; }

/// The signal handler with which a thread prints its own stack, where there is no gdb.
void print_own_stack(int) {
  const int error = errno;
  std::array<void*, 64> frames;
  const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  std::array<char, 64> title;
  const int length = std::snprintf(title.data(), title.size(), "thread %ld:\n",
                                   static_cast<long>(::syscall(SYS_gettid)));
  [[maybe_unused]] const auto written =
      ::write(STDERR_FILENO, title.data(), static_cast<std::size_t>(length));
  ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
  errno = error;
}

void install_stack_printer() {
  std::array<void*, 1> frame;
  ::backtrace(frame.data(), 1);  // loads what it needs now, not in the handler
  struct sigaction action {};
  action.sa_handler = print_own_stack;
  action.sa_flags = SA_RESTART;
  ::sigaction(wake_threads_signal(), &action, nullptr);
}

/// True when gdb ran and printed.
bool print_stacks_with_gdb(pid_t pid) {
  const pid_t gdb = ::fork();
  if (gdb == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setenv("DEBUGINFOD_URLS", "", 1);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execlp("gdb", "gdb", "-p", std::to_string(pid).c_str(), "-batch", "-nx", "-ex",
             "set pagination off", "-ex", "thread apply all backtrace 40", nullptr);
    ::_exit(127);
  }
  if (gdb < 0) return false;
  int status = 0;
  for (const auto end = Clock::now() + limit_of_debugger; Clock::now() < end;) {
    if (::waitpid(gdb, &status, WNOHANG) == gdb)
      return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    ::usleep(20'000);
  }
  ::kill(gdb, SIGKILL);
  ::waitpid(gdb, &status, 0);
  return false;
}

void make_threads_print_their_stacks(pid_t pid) {
  for (const pid_t thread : numbers_in("/proc/" + std::to_string(pid) + "/task")) {
    ::syscall(SYS_tgkill, pid, thread, wake_threads_signal());
    ::usleep(50'000);  // one after the other, so that the stacks do not mix
  }
}

void print_all_stacks() {
  for (const pid_t pid : living_descendants()) {
    std::fprintf(stderr, "\nwatchdog: stacks of process %d: %s\n", static_cast<int>(pid),
                 command_line(pid).c_str());
    if (!print_stacks_with_gdb(pid)) make_threads_print_their_stacks(pid);
  }
}

/// Reaps what has ended. False when no descendant is left: orphans become children of this process
/// before their parent can be reaped, so having no child is proof (a look at /proc is not: a
/// process may fork and end while one looks).
bool has_descendants() {
  pid_t pid = 0;
  do {
    pid = ::waitpid(-1, nullptr, WNOHANG);
  } while (pid > 0);
  return pid == 0;
}

void kill_all_descendants() {
  // Again and again: a process may have forked between the look and the kill.
  while (has_descendants()) {
    for (const pid_t pid : living_descendants()) ::kill(pid, SIGKILL);
    ::usleep(1'000);
  }
}

int report_overrun() {
  std::fprintf(stderr, "\nwatchdog: the test case \"%s\" ran longer than its limit of %d s\n",
               test_case_name(), page->limit_seconds.load());
  print_all_stacks();
  kill_all_descendants();
  return status_overrun;
}

/// Waits for a signal of `signals`, at most until `end`.
int wait_for_signal(const sigset_t& signals, Clock::time_point end, siginfo_t& info) {
  const auto left = std::max(Clock::duration::zero(), end - Clock::now());
  const auto whole = std::chrono::duration_cast<seconds>(left);
  const timespec timeout{.tv_sec = whole.count(), .tv_nsec = (left - whole).count()};
  return ::sigtimedwait(&signals, &info, &timeout);
}

/// 0, or the status that says that something outlived the tests.
int report_orphans(const sigset_t& signals) {
  const auto end = Clock::now() + grace_for_orphans;
  while (has_descendants() && Clock::now() < end) {
    siginfo_t info;
    wait_for_signal(signals, std::min(end, Clock::now() + milliseconds(20)), info);
  }
  if (!has_descendants()) return 0;
  for (const pid_t pid : living_descendants()) {
    std::fprintf(stderr, "watchdog: process %d outlived the test program: %s\n",
                 static_cast<int>(pid), command_line(pid).c_str());
  }
  kill_all_descendants();
  return status_orphans;
}

int status_of(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "watchdog: the test program died of signal %d (%s) in test case \"%s\"\n",
               WTERMSIG(status), ::strsignal(WTERMSIG(status)), test_case_name());
  return 128 + WTERMSIG(status);
}

int watch(pid_t tests, const sigset_t& signals) {
  for (;;) {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != tests) continue;  // an orphan
      const int result = status_of(status);
      const int orphans = report_orphans(signals);
      return result != 0 ? result : orphans;
    }
    const auto begin =
        Clock::time_point(Clock::duration(page->begin.load(std::memory_order_acquire)));
    const auto end = begin + seconds(page->limit_seconds.load());
    if (Clock::now() >= end) return report_overrun();
    siginfo_t info;
    const int signal = wait_for_signal(signals, end, info);
    // From a terminal the tests got the signal themselves; what was sent with kill is passed on.
    if ((signal == SIGINT || signal == SIGTERM) && info.si_code <= 0) ::kill(tests, signal);
  }
}

int limit_from_environment() {
  const char* text = std::getenv("CONCURRENT_TEST_TIME_LIMIT");
  if (text == nullptr || *text == '\0') return default_limit_seconds;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > 1'000'000) {
    std::fprintf(stderr, "CONCURRENT_TEST_TIME_LIMIT: \"%s\" is not a number of seconds\n", text);
    std::exit(2);
  }
  return static_cast<int>(value);
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "watchdog: %s: %s\n", what, std::strerror(errno));
  std::exit(2);
}

}  // namespace

void watch_test_case(const char* name, int limit_seconds) {
  if (page == nullptr) return;
  std::snprintf(page->name.data(), page->name.size(), "%s", name);
  page->limit_seconds.store(limit_seconds == 0 ? program_limit_seconds
                                               : std::max(limit_seconds, program_limit_seconds));
  page->begin.store(Clock::now().time_since_epoch().count(), std::memory_order_release);
}

int run_watched(const std::function<int()>& program) {
  program_limit_seconds = limit_from_environment();
  if (program_limit_seconds == 0) return program();

  void* memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  page = new (memory) Page{};
  watch_test_case("", 0);

  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);

  const pid_t watcher = ::getpid();
  const pid_t tests = ::fork();
  if (tests < 0) fail("fork");
  if (tests == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != watcher) ::_exit(2);
#ifdef PR_SET_PTRACER
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // lets gdb attach where Yama restricts it
#endif
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    install_stack_printer();
    return program();
  }
  const int status = watch(tests, signals);
  std::fflush(nullptr);
  // Not exit: destructors of the tests' static objects are for the process that ran the tests.
  ::_exit(status);
}

}  // namespace support
