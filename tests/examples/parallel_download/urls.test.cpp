// SPDX-License-Identifier: MIT

#include "parallel_download/urls.hpp"

#include <sstream>

#include "support/catch.hpp"

using namespace parallel_download;

TEST_CASE("the document has 15 different pictures") {
  CHECK(document_urls().size() == 15);
  CHECK(unique(document_urls()).duplicates == 0);
}

TEST_CASE("a list of URLs may have comments, blank lines, a byte order mark and any line ends") {
  std::istringstream input(
      "\xEF\xBB\xBFhttp://a/\r\n# a comment\r\n\r\n  http://b/ \n\t\n#\nhttp://c/#fragment");
  CHECK(read_urls(input) ==
        std::vector<std::string>{"http://a/", "http://b/", "http://c/#fragment"});
}

TEST_CASE("a list of nothing but comments is empty") {
  std::istringstream input("# nothing\n\n   \n");
  CHECK(read_urls(input).empty());
}

TEST_CASE("http and https URLs are accepted and written in one way") {
  CHECK(checked("http://h/a").problem.empty());
  CHECK(checked("HTTPS://Host.EXAMPLE:443/A?b#c").url == "https://host.example/A?b");
  CHECK(checked("http://h").url == "http://h/");
  CHECK(checked("http://[::1]:8080/a").problem.empty());
}

TEST_CASE("what is no http or https URL is refused with a reason") {
  for (const char* url : {"file:///etc/passwd", "ftp://h/a", "gopher://h/", "data:text/plain,a",
                          "javascript:alert(1)", "h/a.png", "", " ", "http://", "http://h:99999/",
                          "http://h:x/", "http://a b/", "/etc/passwd", "http://h/\x01", "://h"}) {
    CAPTURE(url);
    CHECK_FALSE(checked(url).problem.empty());
  }
  CHECK(checked("file:///etc/passwd").problem == "only http and https are allowed, not file");
  CHECK_FALSE(checked(std::string("http://h/\0a", 11)).problem.empty());
}

TEST_CASE("each URL is downloaded once, in the order of first appearance") {
  const UniqueUrls result =
      unique({"http://h/b", "http://h/a", "HTTP://H:80/b#x", "nonsense", "http://h/b", "nonsense"});
  CHECK(result.urls == std::vector<std::string>{"http://h/b", "http://h/a", "nonsense"});
  CHECK(result.duplicates == 3);
}

TEST_CASE("URLs that differ in the case of their path or in their query are different") {
  CHECK(unique({"http://h/a", "http://h/A", "http://h/a?1", "http://h/a?2", "https://h/a"})
            .duplicates == 0);
}

TEST_CASE("a password in a URL is not shown") {
  CHECK(for_display("http://user:secret@h/a") == "http://h/a");
  CHECK(for_display("http://user@h/a") == "http://h/a");
  CHECK(for_display("http://h/a") == "http://h/a");
  CHECK(for_display("no\x1burl") == "no?url");
}
