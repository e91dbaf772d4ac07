// SPDX-License-Identifier: MIT
#pragma once

// Processes: forking them, watching them by descriptor, ending and reaping them.

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/descriptor.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

namespace concurrent::detail::os {

/// A descriptor that becomes readable when the process ends. @throws std::system_error
inline Descriptor open_process(pid_t pid) {
  return Descriptor::open("cannot open a process", [pid] {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
  });
}

/// Sends a signal to the very process that the descriptor stands for; never to another one that got
/// its number. Harmless when it has ended.
inline void signal_process(const Descriptor& process, int signal) noexcept {
  if (process) ::syscall(SYS_pidfd_send_signal, process.number(), signal, nullptr, 0);
}

/// Waits until the descriptor is readable or has hung up; false when the time is over.
inline bool wait_readable(
    int descriptor, std::chrono::milliseconds limit = std::chrono::milliseconds(-1)) noexcept {
  pollfd entry{descriptor, POLLIN, 0};
  int count = 0;
  do {
    count = ::poll(&entry, 1, static_cast<int>(limit.count()));
  } while (count < 0 && errno == EINTR);
  return count > 0;
}

/// Waits for the end of a child and reaps it, also when the program ignores SIGCHLD or has reaped
/// the child itself.
inline void wait_and_reap(pid_t pid, const Descriptor& process) noexcept {
  if (process) wait_readable(process.number());
  while (::waitpid(pid, nullptr, process ? WNOHANG : 0) < 0 && errno == EINTR) {
  }
}

/// "was killed by signal 9 (Killed)" or "exited with status 3".
inline std::string describe_wait_status(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    const char* const name = ::sigdescr_np(signal);
    return "was killed by signal " + std::to_string(signal) +
           (name != nullptr ? " (" + std::string(name) + ")" : std::string());
  }
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

/// Blocks all signals for the calling thread; the destructor brings back what was.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

/// Every signal does what it does in a fresh program. Those that were blocked stay so.
inline void reset_signal_handlers() noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
}

/// Puts this process, and those that it forks, out of the reach of the session's terminal: its keys
/// are not for them, and it is not theirs to read from or to set.
///
/// A session of its own would do that, too. But where the kernel shares the processors out by
/// session (sched_autogroup), sched_yield() lets no process of another session run, and a program
/// would get a share for each worker beside its own.
inline void leave_terminal() noexcept {
  ::setpgid(0, 0);
  const int terminal = ::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return;  // there is none
  ::ioctl(terminal, TIOCNOTTY);
  ::close(terminal);
}

inline void unblock_all_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Forks; `child()` must not return. Its signals are blocked, so that it runs no handler of the
/// program's if it resets them first. @throws std::system_error
template <class Child>
pid_t fork_process(const char* what, Child&& child) {
  const AllSignalsBlocked blocked;
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno(errno, what);
  if (pid == 0) {
    std::forward<Child>(child)();
    ::_exit(EXIT_FAILURE);
  }
  return pid;
}

/// What is behind a stream, as this thread has last seen it; children that it forks know it, too.
/// It hardly ever changes, and asking costs more than all the rest of flushing nothing, most of all
/// in a fresh child, where each part of the libraries that is used costs a page fault.
struct KnownBuffer {
  std::ostream& stream;
  const std::streambuf* without_own = nullptr;  // what is no buffer of the stream's own

  /// True of std::cout after sync_with_stdio(false).
  bool is_own() noexcept { return stream.rdbuf() != without_own && look(); }
  bool look() noexcept {
    const bool own = dynamic_cast<const std::filebuf*>(stream.rdbuf()) != nullptr;
    without_own = own ? nullptr : stream.rdbuf();
    return own;
  }

  static std::array<KnownBuffer, 2>& all() noexcept {
    static thread_local std::array<KnownBuffer, 2> both{{{std::cout}, {std::clog}}};
    return both;
  }
};

/// Before a fork: spares the child the look.
inline void know_output() noexcept {
  for (KnownBuffer& known : KnownBuffer::all()) known.look();
}

/// In a fresh child: forgets what the parent has printed but not flushed, or it would come out
/// twice. (The C library has made the streams' locks usable.)
inline void discard_inherited_output() noexcept {
  ::__fpurge(stdout);
  ::__fpurge(stderr);
  ::__fpurge(stdin);
  auto& [known_cout, known_clog] = KnownBuffer::all();
  if (!known_cout.is_own() && !known_clog.is_own()) return;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (const int number : {STDOUT_FILENO, STDERR_FILENO}) {
    KnownBuffer& known = number == STDOUT_FILENO ? known_cout : known_clog;
    const int kept = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
    if (nowhere >= 0 && kept >= 0 && ::dup2(nowhere, number) >= 0) {
      if (known.is_own()) known.stream.flush();
      ::dup2(kept, number);
    }
    if (kept >= 0) ::close(kept);
  }
  if (nowhere >= 0) ::close(nowhere);
}

/// Prints what this process has written to the standard output. Costs next to nothing if that is
/// nothing.
inline void flush_output() noexcept {
  try {
    for (KnownBuffer& known : KnownBuffer::all()) {
      if (known.is_own()) known.stream.flush();
    }
  } catch (...) {  // std::cout.exceptions() may ask for it; the task has gone already
  }
  if (::__fpending(stdout) != 0) std::fflush(stdout);
}

/// From now on exit() ends this process at once: what the program has registered with atexit, and
/// the destructors of its static objects, are the parent's to run. What this process registers
/// itself later still runs.
inline void exit_without_the_parents_handlers() noexcept {
#if defined(__GLIBC__)
  ::on_exit(
      [](int status, void*) {
        flush_output();
        ::_exit(status);
      },
      nullptr);
#else
  std::atexit([] {
    flush_output();
    ::_exit(EXIT_FAILURE);
  });
#endif
}

/// Gives back what the allocator keeps for later, if that is much. In a forked process that memory
/// is the parent's still, and each of its pages is copied when something is written to it.
inline void give_back_free_memory() noexcept {
#if defined(__GLIBC__)
  constexpr std::size_t much = std::size_t{1} << 20U;
#if __GLIBC_PREREQ(2, 33)
  if (::mallinfo2().fordblks < much) return;
#endif
  ::malloc_trim(0);
#endif
}

/// The standard input is the parent's alone.
inline void give_up_standard_input() noexcept {
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) return;
  ::dup2(nothing, STDIN_FILENO);
  if (nothing != STDIN_FILENO) ::close(nothing);
}

}  // namespace concurrent::detail::os
