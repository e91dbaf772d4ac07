// SPDX-License-Identifier: MIT
// The bounds: a number handed to one other thread and back through two words, by spinning, by
// std::atomic's wait, and by futex calls that always wake.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

#include "round_trip/round_trip.hpp"

namespace {

using Word = std::atomic<std::uint32_t>;

struct Spin {
  static void wait_for_change(Word& word, std::uint32_t old) {
    while (word.load(std::memory_order_acquire) == old) {
    }
  }
  static void wake(Word&) {}
};

struct AtomicWait {
  static void wait_for_change(Word& word, std::uint32_t old) {
    word.wait(old, std::memory_order_acquire);
  }
  static void wake(Word& word) { word.notify_one(); }
};

struct Futex {
  static void wait_for_change(Word& word, std::uint32_t old) {
    while (word.load(std::memory_order_acquire) == old) {
      syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
    }
  }
  static void wake(Word& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
};

/// Echoes the request number; `stop` ends it.
template <class Sleep>
class HandOver {
 public:
  HandOver() : thread_([this] { serve(); }) {}
  ~HandOver() {
    request_.store(stop, std::memory_order_release);
    Sleep::wake(request_);
  }
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  std::size_t operator()(std::size_t number) {
    const auto sent = static_cast<std::uint32_t>(number + 1);
    const auto previous = reply_.load(std::memory_order_relaxed);
    request_.store(sent, std::memory_order_release);
    Sleep::wake(request_);
    Sleep::wait_for_change(reply_, previous);
    return reply_.load(std::memory_order_relaxed) - std::size_t{1};
  }

 private:
  static constexpr std::uint32_t stop = UINT_MAX;

  void serve() {
    for (std::uint32_t seen = 0;;) {
      Sleep::wait_for_change(request_, seen);
      seen = request_.load(std::memory_order_relaxed);
      if (seen == stop) return;
      reply_.store(seen, std::memory_order_release);
      Sleep::wake(reply_);
    }
  }

  alignas(64) Word request_{0};
  alignas(64) Word reply_{0};
  std::jthread thread_;
};

template <class Sleep>
bool add_bound(const char* contestant) {
  return bench::add_round_trip(contestant, bench::Kind::bound,
                               [] { return std::make_unique<HandOver<Sleep>>(); });
}

bool add_spin() {
  return bench::add("T4/round_trip", "spinning hand-over", bench::Kind::bound,
                    [](benchmark::State& state) {
                      HandOver<Spin> contest;
                      bench::report_round_trips(state, bench::config().scaled(50'000), {}, contest);
                    });
}

// A spinning thread is no bound for a pool that has slept, so it is in the first row alone.
[[maybe_unused]] const bool added = add_spin() &&
                                    add_bound<AtomicWait>("std::atomic wait hand-over") &&
                                    add_bound<Futex>("futex hand-over");

}  // namespace
