// SPDX-License-Identifier: MIT
#pragma once

// Ctrl-C, as Python's KeyboardInterrupt: it wakes everyone who waits, in the network or between two
// attempts, so that each cleans up its own temporary file and returns.

#include <atomic>
#include <chrono>
#include <csignal>
#include <vector>

namespace parallel_download {

/// A request to stop that a signal handler can make and that poll() can wait for.
///
/// **Thread safety** all members, from any thread; raise() also from a signal handler.
class Interrupt {
 public:
  /// @throws std::system_error when the system has no descriptor left.
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  void raise(int signal) noexcept;

  bool raised() const noexcept { return signal() != 0; }
  int signal() const noexcept { return signal_.load(std::memory_order_relaxed); }

  /// Readable from the first raise() on, for ever.
  int descriptor() const noexcept { return descriptor_; }

  /// False when it was cut short (or not begun) because of raise().
  bool sleep_for(std::chrono::milliseconds duration) const;

 private:
  // relaxed: the number stands for itself and publishes nothing; whoever sleeps is woken by the
  // descriptor, which orders the two by itself.
  std::atomic<int> signal_ = 0;
  int descriptor_;
};

/// While it lives SIGINT, SIGTERM and SIGHUP raise the Interrupt, unless they were ignored before
/// (as nohup does). One at a time in a program.
class RaiseOnSignals {
 public:
  explicit RaiseOnSignals(Interrupt& interrupt);
  ~RaiseOnSignals();
  RaiseOnSignals(const RaiseOnSignals&) = delete;
  RaiseOnSignals& operator=(const RaiseOnSignals&) = delete;

 private:
  struct Previous {
    int signal;
    struct sigaction action;
  };
  std::vector<Previous> previous_;
};

}  // namespace parallel_download
