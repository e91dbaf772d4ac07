// SPDX-License-Identifier: MIT

// The words in which the download program speaks of sizes and status codes.

#include "parallel_download/http_status.hpp"
#include "parallel_download/progress.hpp"
#include "support/catch.hpp"

using namespace parallel_download;

TEST_CASE("sizes are written with one decimal and the unit that fits") {
  CHECK(human_size(0) == "0 B");
  CHECK(human_size(999) == "999 B");
  CHECK(human_size(1000) == "1.0 kB");
  CHECK(human_size(999'949) == "999.9 kB");
  CHECK(human_size(999'950) == "1.0 MB");
  CHECK(human_size(18'446'744'073'709'551'615U) == "18.4 EB");
}

TEST_CASE("a status is its number, and its words when they are known") {
  CHECK(describe_status(404) == "HTTP 404 Not Found");
  CHECK(describe_status(599) == "HTTP 599");
}

TEST_CASE("only a status that may pass is worth another attempt") {
  for (const long status : {408L, 425L, 429L, 500L, 502L, 503L, 504L})
    CHECK(is_transient_status(status));
  for (const long status : {200L, 301L, 400L, 401L, 403L, 404L, 410L, 501L}) {
    CHECK_FALSE(is_transient_status(status));
  }
}
