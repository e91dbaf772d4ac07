// SPDX-License-Identifier: MIT

#include "support/watchdog.hpp"

#include <string>

#include "support/catch.hpp"
#include "support/program.hpp"

namespace {

support::ProgramResult subject(const std::string& what, const std::string& limit_seconds = "60") {
  return support::run_program({WATCHDOG_SUBJECT, what},
                              {.environment = {"CONCURRENT_TEST_TIME_LIMIT=" + limit_seconds}});
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("the watchdog passes on how a test program ended") {
  CHECK(subject("pass").status == 0);
  CHECK(subject("fail").status == 1);
}

TEST_CASE("a test case that overruns its limit fails, with the stacks of its processes") {
  const auto result = subject("hang", "1");
  CHECK(result.status == 124);
  CHECK_THAT(result.err, support::matchers::contains("\"the case in question\" ran longer than"));
  CHECK(count_of(result.err, "watchdog: stacks of process") == 2);
  CHECK_FALSE(result.timed_out);
}

TEST_CASE("a process that outlives its test program makes it fail") {
  const auto result = subject("orphan");
  CHECK(result.status == 125);
  CHECK_THAT(result.err, support::matchers::contains("outlived the test program"));
}

TEST_CASE("a test program that dies of a signal fails and names the test case") {
  const auto result = subject("die");
  CHECK(result.status == 128 + 9);
  CHECK_THAT(result.err, support::matchers::contains("died of signal 9"));
  CHECK_THAT(result.err, support::matchers::contains("the case in question"));
}

TEST_CASE("a test case that does not exist is a failure, not a success") {
  const auto result = support::run_program({WATCHDOG_TEST_PROGRAM, "--case", "no such case"});
  CHECK(result.status != 0);
  CHECK_THAT(result.err, support::matchers::contains("\"no such case\" names 0 test cases"));
}
