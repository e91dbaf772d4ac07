// SPDX-License-Identifier: MIT
#pragma once

// The library's own exceptions cross to workers and back as themselves.

#include <concurrent/futures/errors.hpp>
#include <concurrent/multiprocessing/exceptions.hpp>

namespace concurrent::futures::detail::process {

inline void register_own_exceptions() noexcept {
  using multiprocessing::register_exception;
  register_exception<Error>();
  register_exception<CancelledError>();
  register_exception<TimeoutError>();
  register_exception<InvalidStateError>();
  register_exception<ShutdownError>();
  register_exception<QueueFullError>();
  register_exception<BrokenExecutor>();
  register_exception<BrokenThreadPool>();
  register_exception<BrokenProcessPool>();
  register_exception<WorkerDied>();
}

}  // namespace concurrent::futures::detail::process
