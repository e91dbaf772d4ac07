// SPDX-License-Identifier: MIT
#pragma once

// What the tests of the process pool share: looking at processes and descriptors from outside, and
// running a piece of program in a process of its own.

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/mman.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace process_test {

using concurrent::futures::BrokenProcessPool;
using concurrent::futures::Future;
using concurrent::futures::ProcessPoolExecutor;
using Clock = std::chrono::steady_clock;

// Tasks.
inline int square(int x) { return x * x; }
inline pid_t pid_of_worker() { return ::getpid(); }

/// Of a process that has ended with the exit status 0.
inline bool is_quiet(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

/// Descriptor number -> what it is, of a process.
inline std::map<int, std::string> descriptors(const std::string& pid = "self") {
  std::map<int, std::string> open;
  const std::string folder = "/proc/" + pid + "/fd";
  DIR* const listing = ::opendir(folder.c_str());
  if (listing == nullptr) return open;
  while (const dirent* entry = ::readdir(listing)) {
    std::array<char, 256> target{};
    const std::string path = folder + "/" + entry->d_name;
    if (::readlink(path.c_str(), target.data(), target.size() - 1) <= 0) continue;
    const int number = std::atoi(entry->d_name);
    if (pid == "self" && number == ::dirfd(listing)) continue;
    open[number] = target.data();
  }
  ::closedir(listing);
  return open;
}

/// The begin of a file; empty where there is none (a process may go while it is looked at).
inline std::string text_of(const std::string& path) {
  std::string text(4096, '\0');
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return {};
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

/// The children of this process, those of all its threads, zombies included.
inline std::vector<pid_t> children() {
  std::vector<pid_t> all;
  DIR* const tasks = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(tasks)) {
    std::ifstream list(std::string("/proc/self/task/") + entry->d_name + "/children");
    for (pid_t child = 0; list >> child;) all.push_back(child);
  }
  ::closedir(tasks);
  return all;
}

inline std::size_t thread_count() {
  std::size_t count = 0;
  DIR* const tasks = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(tasks)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(tasks);
  return count;
}

/// What the system says of a process, as ps shows it: 'R', 'S', 'Z' and others; 'X' for none.
inline char state_of(pid_t pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const auto after_name = stat.rfind(')');
  return after_name == std::string::npos ? 'X' : stat.at(after_name + 2);
}
/// True when there is no such process, or only its zombie.
inline bool gone(pid_t pid) {
  const char state = state_of(pid);
  return state == 'X' || state == 'Z';
}
inline bool sleeps(pid_t pid) { return state_of(pid) == 'S'; }

template <class Condition>
bool within(std::chrono::milliseconds limit, Condition&& condition) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Memory that forked processes share, for flags that tests and tasks set.
template <class T>
class Shared {
 public:
  Shared() {
    void* const memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    value_ = ::new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(T)); }
  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }

 private:
  T* value_;
};

/// What tests and tasks share: tasks capture nothing, so they reach it here. Made before the pools.
struct Board {
  std::array<std::atomic<int>, 8> flag{};
  std::array<std::atomic<pid_t>, 8> pid{};
};
inline Board*& board() {
  static Board* current = nullptr;
  return current;
}
class SharedBoard {
 public:
  SharedBoard() { board() = &*board_; }
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;
  ~SharedBoard() { board() = nullptr; }

 private:
  Shared<Board> board_;
};

inline void sleep_until_flag(std::size_t index) {
  while (board()->flag.at(index).load() == 0) ::usleep(200);
}

/// What a forked process printed and how it ended.
struct ChildResult {
  int status = 0;  // as waitpid gives it
  std::string output;
};

/// Runs `program` in a child, which ends with its return value by exit(), as main would.
inline ChildResult run_in_child(const std::function<int()>& program) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) throw std::runtime_error("pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    ::dup2(pipe[1], STDOUT_FILENO);
    ::close(pipe[1]);
    const int status = program();
    std::fflush(nullptr);
    ::_exit(status);
  }
  ::close(pipe[1]);
  ChildResult result;
  std::array<char, 4096> part{};
  for (ssize_t got = 0; (got = ::read(pipe[0], part.data(), part.size())) > 0;) {
    result.output.append(part.data(), static_cast<std::size_t>(got));
  }
  ::close(pipe[0]);
  ::waitpid(child, &result.status, 0);
  return result;
}

/// What a future fails with; empty when it does not.
template <class T>
std::string failure_of(const Future<T>& future) {
  try {
    static_cast<void>(future.result(std::chrono::seconds(60)));
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

template <class Error, class T>
bool fails_with(const Future<T>& future) {
  try {
    static_cast<void>(future.result(std::chrono::seconds(60)));
  } catch (const Error&) {
    return true;
  } catch (...) {
  }
  return false;
}

}  // namespace process_test
