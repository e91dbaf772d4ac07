// SPDX-License-Identifier: MIT
#include "interrupt.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace parallel_download {
namespace {

// A signal handler gets no argument of ours, so the one that is in force stands here.
std::atomic<Interrupt*> interrupt_in_force = nullptr;
static_assert(std::atomic<Interrupt*>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "only lock-free atomics may be used in a signal handler");

extern "C" void on_signal(int signal) {
  const int saved = errno;
  // acquire pairs with the release in RaiseOnSignals: the handler sees a finished Interrupt.
  if (Interrupt* interrupt = interrupt_in_force.load(std::memory_order_acquire)) {
    interrupt->raise(signal);
  }
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make an event descriptor");
  }
}

Interrupt::~Interrupt() { ::close(descriptor_); }

void Interrupt::raise(int signal) noexcept {
  int none = 0;
  // relaxed: see signal_.
  signal_.compare_exchange_strong(none, signal, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then it is readable already.
  [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof one);
}

bool Interrupt::sleep_for(std::chrono::milliseconds duration) const {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds longest = std::chrono::hours(1);  // poll() takes an int
  const Clock::time_point end = Clock::now() + duration;
  while (!raised()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return true;
    pollfd wanted = {descriptor_, POLLIN, 0};
    ::poll(&wanted, 1, static_cast<int>(std::min(left, longest).count()));
  }
  return false;
}

RaiseOnSignals::RaiseOnSignals(Interrupt& interrupt) {
  // release pairs with the acquire in on_signal.
  interrupt_in_force.store(&interrupt, std::memory_order_release);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) continue;
    previous_.push_back({signal, before});
    sigaction(signal, &action, nullptr);
  }
}

RaiseOnSignals::~RaiseOnSignals() {
  for (const Previous& previous : previous_) {
    sigaction(previous.signal, &previous.action, nullptr);
  }
  // release: nothing that came before may move behind it.
  interrupt_in_force.store(nullptr, std::memory_order_release);
}

}  // namespace parallel_download
