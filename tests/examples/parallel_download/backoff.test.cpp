// SPDX-License-Identifier: MIT

#include "parallel_download/backoff.hpp"

#include "support/catch.hpp"

using parallel_download::Backoff;
using std::chrono::milliseconds;

TEST_CASE("the wait before a retry doubles with each failure, up to a limit") {
  const Backoff backoff{milliseconds(100), milliseconds(500)};
  CHECK(backoff.delay(1, 1) == milliseconds(100));
  CHECK(backoff.delay(2, 1) == milliseconds(200));
  CHECK(backoff.delay(3, 1) == milliseconds(400));
  CHECK(backoff.delay(4, 1) == milliseconds(500));
  CHECK(backoff.delay(1000, 1) == milliseconds(500));
}

TEST_CASE("half of the wait before a retry is left to chance") {
  const Backoff backoff{milliseconds(100), milliseconds(500)};
  CHECK(backoff.delay(1, 0) == milliseconds(50));
  CHECK(backoff.delay(1, 0.5) == milliseconds(75));
  CHECK(backoff.delay(1000, 0) == milliseconds(250));
}

TEST_CASE("without a first wait there is none") {
  CHECK(Backoff{milliseconds(0)}.delay(9, 1).count() == 0);
}
