// SPDX-License-Identifier: MIT
// The bound of Q2 after sleep: a byte through a pipe to a process that sleeps, and one back.

#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "process_calls/process_calls.hpp"

namespace {

/// A child that echoes numbers.
class Echo {
 public:
  Echo() {
    if (::pipe(there_) != 0 || ::pipe(back_) != 0) fail();
    child_ = ::fork();
    if (child_ < 0) fail();
    if (child_ != 0) return;
    ::close(there_[1]);
    int number = 0;
    while (::read(there_[0], &number, sizeof number) == sizeof number) {
      static_cast<void>(!::write(back_[1], &number, sizeof number));
    }
    ::_exit(0);
  }
  ~Echo() {
    for (const int end : {there_[0], there_[1], back_[0], back_[1]}) ::close(end);
    ::waitpid(child_, nullptr, 0);
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  int operator()(int number) {
    int result = -1;
    static_cast<void>(!::write(there_[1], &number, sizeof number));
    static_cast<void>(!::read(back_[0], &result, sizeof result));
    return result;
  }

 private:
  [[noreturn]] static void fail() {
    throw std::system_error(errno, std::generic_category(), "cannot make a child with two pipes");
  }

  int there_[2] = {-1, -1};
  int back_[2] = {-1, -1};
  pid_t child_ = -1;
};

[[maybe_unused]] const bool added =
    bench::add("Q2/round_trip_after_sleep", "two pipes", bench::Kind::bound, [](auto& state) {
      Echo echo;
      bench::report_process_round_trips(state, bench::round_trips_after_sleep(),
                                        bench::pause_between_round_trips,
                                        [&](int number) { return echo(number); });
    });

}  // namespace
