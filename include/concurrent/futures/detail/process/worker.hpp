// SPDX-License-Identifier: MIT
#pragma once

// What a worker process does: its initializer, then one task after the other until its channel is
// closed. Counterpart: _process_worker of concurrent.futures.process.

#include <sys/prctl.h>
#include <unistd.h>

#include <concurrent/detail/os/limits.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/futures/detail/process/channel.hpp>
#include <concurrent/futures/detail/process/frame.hpp>
#include <concurrent/futures/worker_limits.hpp>
#include <concurrent/multiprocessing/exceptions.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <utility>

namespace concurrent::futures::detail::process {

/// Callable and arguments of a task, to be read once.
struct TaskRequest {
  ByteReader reader;
  WorkerChannel& channel;

  /// All is read: a large message need not stay in memory while the task runs.
  void finished() noexcept { channel.forget(); }
};

/// Runs one task: reads callable and arguments, calls, writes the result. A task travels as the
/// address of such a function, which is the same in every process forked from one program (and
/// translated in those that were not).
using TaskFunction = void (*)(TaskRequest& request, ByteBuffer& result);

/// The callable or its arguments could not be read back. Breaks the pool, as in Python.
struct UnreadableTask {
  std::string why;
};

/// What is the same for all workers of a pool. Lives in memory that all of them inherited.
struct WorkerSetup {
  std::function<void()> initializer;
  std::size_t max_tasks = 0;     // 0: no limit
  const Arena* arena = nullptr;  // of the pool; null: it has none
  int spin = 0;                  // how many turns a worker waits actively before it sleeps
  WorkerLimits limits{};
  bool sandbox = false;
};

/// The function in an initializer; null when it is something else, which cannot be sent.
inline void (*plain_function(const std::function<void()>& initializer) noexcept)() {
  if (const auto* const function = initializer.target<void (*)()>()) return *function;
  if (const auto* const function = initializer.target<void (*)() noexcept>()) return *function;
  return nullptr;
}

/// The loop of one worker. `[[noreturn]] run()`, because a worker never goes back into the program.
class Worker {
 public:
  Worker(os::Descriptor socket, os::Descriptor bell, SharedBlock& block, const WorkerSetup& setup)
      : channel_(std::move(socket), std::move(bell), block, setup.arena, setup.spin),
        setup_(setup) {
    reply_.draw_from(&channel_.areas());
  }

  [[noreturn]] void run() {
    initialize();
    Frame frame;
    for (std::size_t done = 0; channel_.receive(frame);) {
      run_task(frame);
      if (++done == setup_.max_tasks) break;
    }
    leave(EXIT_SUCCESS);
  }

 private:
  [[noreturn]] static void leave(int status) {
    os::flush_output();
    ::_exit(status);
  }

  void initialize() {
    begin_frame(reply_);
    FrameKind kind = FrameKind::ready;
    try {
      set_limits(setup_.limits);
      if (setup_.initializer) setup_.initializer();
      if (setup_.sandbox) os::enter_sandbox();
    } catch (...) {
      kind = FrameKind::initializer_failed;
      write_error(std::current_exception());
    }
    os::flush_output();
    channel_.send_frame(reply_, kind, 0);
    if (kind == FrameKind::initializer_failed) leave(EXIT_FAILURE);
  }

  static void set_limits(const WorkerLimits& limits) {
    os::add_niceness(limits.nice);
    if (limits.address_space) {
      os::limit(RLIMIT_AS, *limits.address_space, "cannot limit the address space");
    }
    if (limits.cpu_time) {
      const auto seconds = static_cast<std::uint64_t>(limits.cpu_time->count());
      os::limit(RLIMIT_CPU, seconds, "cannot limit the CPU time");
    }
    if (limits.open_files) {
      os::limit(RLIMIT_NOFILE, *limits.open_files, "cannot limit the open files");
    }
    if (!limits.core_dumps) os::limit(RLIMIT_CORE, 0, "cannot forbid core files");
  }

  void run_task(const Frame& frame) {
    begin_frame(reply_);
    FrameKind kind = FrameKind::value;
    try {
      TaskRequest request{ByteReader(frame.payload), channel_};
      read_function(request.reader)(request, reply_);
    } catch (const UnreadableTask& error) {
      kind = FrameKind::unreadable;
      restart_frame(reply_);
      reply_.append(error.why.data(), error.why.size());
    } catch (...) {
      kind = FrameKind::error;
      write_error(std::current_exception());
    }
    os::flush_output();
    if (kind != FrameKind::unreadable) return channel_.send(reply_, kind, frame.task);
    channel_.send_frame(reply_, kind, frame.task);
    leave(EXIT_FAILURE);
  }

  static TaskFunction read_function(ByteReader& reader) {
    try {
      return multiprocessing::detail::read_plain<TaskFunction>(reader);
    } catch (const multiprocessing::CorruptDataError& error) {
      throw UnreadableTask{error.what()};
    }
  }

  void write_error(const std::exception_ptr& error) {
    restart_frame(reply_);
    try {
      multiprocessing::detail::write_exception(reply_, error);
    } catch (...) {  // out of memory: freeing the reply gives back more than this needs
      reply_.clear();
      begin_frame(reply_);
      multiprocessing::detail::write_exception(reply_, std::make_exception_ptr(std::bad_alloc()));
    }
  }

  WorkerChannel channel_;
  const WorkerSetup& setup_;
  ByteBuffer reply_;
};

/// What a fresh worker does before anything else. Its handlers are as the server has reset them,
/// its signals blocked, and it has no standard input.
[[noreturn]] inline void begin_worker(os::Descriptor socket, os::Descriptor bell,
                                      SharedBlock& block, pid_t server, const WorkerSetup& setup) {
  ::setpgid(0, 0);  // what the tasks start can be ended with the worker
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != server) ::_exit(EXIT_FAILURE);
  os::exit_without_the_parents_handlers();
  os::unblock_all_signals();
  try {
    Worker(std::move(socket), std::move(bell), block, setup).run();
  } catch (...) {
    ::_exit(WorkerChannel::out_of_memory);
  }
}

}  // namespace concurrent::futures::detail::process
