// SPDX-License-Identifier: MIT

#include "parallel_download/interrupt.hpp"

#include <csignal>
#include <thread>

#include "support/catch.hpp"

using namespace parallel_download;
using std::chrono::milliseconds;

TEST_CASE("a sleep that nobody interrupts lasts its time") {
  const Interrupt interrupt;
  const auto start = std::chrono::steady_clock::now();
  CHECK(interrupt.sleep_for(milliseconds(30)));
  CHECK(std::chrono::steady_clock::now() - start >= milliseconds(30));
}

TEST_CASE("an interrupt ends a sleep, however long, and every later one") {
  Interrupt interrupt;
  std::thread raiser([&] { interrupt.raise(SIGINT); });
  CHECK_FALSE(interrupt.sleep_for(std::chrono::hours(1'000'000)));
  CHECK_FALSE(interrupt.sleep_for(std::chrono::hours(1'000'000)));
  raiser.join();
}

TEST_CASE("an interrupt remembers the first signal") {
  Interrupt interrupt;
  CHECK_FALSE(interrupt.raised());
  interrupt.raise(SIGTERM);
  interrupt.raise(SIGINT);
  CHECK(interrupt.signal() == SIGTERM);
}

TEST_CASE("signals raise the interrupt in its scope and do what they did before after it") {
  std::signal(SIGHUP, SIG_IGN);
  struct sigaction before = {};
  ::sigaction(SIGTERM, nullptr, &before);
  Interrupt interrupt;
  {
    const RaiseOnSignals scope(interrupt);
    std::raise(SIGHUP);  // ignored before, so it stays ignored
    CHECK_FALSE(interrupt.raised());
    std::raise(SIGTERM);
    CHECK(interrupt.signal() == SIGTERM);
  }
  struct sigaction after = {};
  ::sigaction(SIGTERM, nullptr, &after);
  CHECK((after.sa_handler == before.sa_handler));
  std::signal(SIGHUP, SIG_DFL);
}
