// SPDX-License-Identifier: MIT
#pragma once

// The exceptions of concurrent::futures. Counterpart: the exception classes of concurrent.futures.

#include <stdexcept>
#include <string>
#include <utility>

namespace concurrent::futures {

/// Base of everything that the library itself throws, beside the standard's own exceptions
/// (std::invalid_argument for a bad option, std::bad_alloc, std::system_error).
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The future was cancelled, so it has neither a result nor an exception of its own.
struct CancelledError : Error {
  using Error::Error;
  CancelledError() : Error("the future was cancelled") {}
};

/// The time given for waiting ran out. What was waited for goes on.
struct TimeoutError : Error {
  using Error::Error;
  TimeoutError() : Error("timed out") {}
};

/// The operation is not allowed in the future's state (a second set_result, say).
struct InvalidStateError : Error {
  using Error::Error;
};

/// The executor takes no more tasks. Python: RuntimeError with the same text.
struct ShutdownError : Error {
  using Error::Error;
  ShutdownError() : Error("cannot schedule new futures after shutdown") {}
};

/// An executor with `.max_pending` and the policy `throw_error` is full. Python: queue.Full.
struct QueueFullError : Error {
  using Error::Error;
};

/// The executor can run nothing any more, because a worker failed.
struct BrokenExecutor : Error {
  using Error::Error;
};

/// The initializer of a thread pool threw.
struct BrokenThreadPool : BrokenExecutor {
  using BrokenExecutor::BrokenExecutor;
};

/// The worker process that ran the task died, and the pool goes on (OnWorkerDeath::restart).
struct WorkerDied : Error {
  using Error::Error;
  WorkerDied(const std::string& what, int process, int by_signal, int with_status,
             std::string task_name)
      : Error(what),
        pid(process),
        signal(by_signal),
        exit_status(with_status),
        task(std::move(task_name)) {}

  int pid = 0;
  int signal = 0;       ///< which killed it; 0: it exited
  int exit_status = 0;  ///< where it exited
  std::string task;     ///< TaskOptions::name
};

/// A worker process died, or a message to or from one could not be read.
struct BrokenProcessPool : BrokenExecutor {
  using BrokenExecutor::BrokenExecutor;
};

}  // namespace concurrent::futures
