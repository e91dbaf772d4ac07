// SPDX-License-Identifier: MIT

// A test program that does as it is told; watchdog.test.cpp tells it to go wrong.

#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/watchdog.hpp"

namespace {

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

void leave_an_orphan() {
  if (::fork() == 0) {
    if (::fork() == 0) sleep_for_ever();
    ::_exit(0);
  }
}

[[noreturn]] void hang_in_a_thread_and_in_a_child() {
  if (::fork() == 0) sleep_for_ever();
  const std::jthread thread([] { sleep_for_ever(); });
  sleep_for_ever();
}

int obey(const std::string& what) {
  support::watch_test_case("the case in question", 0);
  if (what == "hang") hang_in_a_thread_and_in_a_child();
  if (what == "orphan") leave_an_orphan();
  if (what == "die") ::raise(SIGKILL);
  return what == "fail" ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace

int main(int, char** argv) {
  const std::string what = argv[1];
  return support::run_watched([&] { return obey(what); });
}
