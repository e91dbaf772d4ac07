// SPDX-License-Identifier: MIT

// parallel_download, the program, when all goes well.

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "examples/parallel_download/program.hpp"
#include "parallel_download/urls.hpp"
#include "support/catch.hpp"

using namespace parallel_download::testing;
using support::matchers::contains;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

double number_before(const std::string& text, const std::string& words) {
  const std::size_t end = text.find(words);
  const std::size_t begin = text.find_last_of(" \n", end - 1) + 1;
  return std::strtod(text.substr(begin, end - begin).c_str(), nullptr);
}

}  // namespace

TEST_CASE("each URL is saved under its own name, and the program says what Python's says") {
  RawServer server(good());
  const Program program;
  const auto result = program.run({server.url("/one"), server.url("/two.gif")});
  CHECK(result.status == 0);
  CHECK(result.err.empty());
  CHECK_THAT(result.out, contains("one.png was downloaded\n"));
  CHECK_THAT(result.out, contains("two.gif was downloaded\n"));
  CHECK_THAT(result.out, contains("Finished in "));
  CHECK_THAT(result.out, support::matchers::ends_with(" seconds\n"));
  CHECK(program.saved() == Texts{"one.png", "two.gif"});
  CHECK(program.saved("one.png") == picture);
}

TEST_CASE("sequential downloads come in order and share one connection") {
  RawServer server(good());
  const Program program;
  const auto result =
      program.run({"--sequential", server.url("/1"), server.url("/2"), server.url("/3")});
  CHECK(result.status == 0);
  CHECK(result.out.starts_with(
      "1.png was downloaded\n2.png was downloaded\n3.png was downloaded\nFinished in "));
  CHECK(server.connections() == 1);
}

TEST_CASE("workers use their connections again") {
  RawServer server(good());
  const Program program;
  Texts arguments = {"--workers", "2"};
  for (int i = 0; i < 20; ++i) arguments.push_back(server.url("/" + std::to_string(i)));
  CHECK(program.run(arguments).status == 0);
  CHECK(program.saved().size() == 20);
  CHECK(server.connections() <= 2);
}

TEST_CASE("as many downloads run at once as there are workers") {
  constexpr int workers = 5;
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  // Nobody is answered before all have asked: with fewer workers this would time out.
  RawServer server([&](Connection& connection, const std::string&) {
    std::unique_lock lock(mutex);
    if (++here == workers) all_here.notify_all();
    all_here.wait_for(lock, std::chrono::seconds(60), [&] { return here == workers; });
    connection.respond("200 OK", "", picture);
    return true;
  });
  const Program program;
  Texts arguments = {"--workers", std::to_string(workers), "--retries", "0", "--timeout", "50"};
  for (int i = 0; i < workers; ++i) arguments.push_back(server.url("/" + std::to_string(i)));
  CHECK(program.run(arguments).status == 0);
}

TEST_CASE("a second file of a name gets a number, within a run and across runs") {
  RawServer server(good());
  const Program program;
  CHECK(program.run({server.url("/a/x"), server.url("/b/x"), server.url("/c/x")}).status == 0);
  CHECK(program.saved() == Texts{"x-1.png", "x-2.png", "x.png"});
  CHECK(program.run({server.url("/a/x")}).status == 0);
  CHECK(program.saved() == Texts{"x-1.png", "x-2.png", "x-3.png", "x.png"});
}

TEST_CASE("a URL that is listed twice is downloaded once") {
  RawServer server(good());
  const Program program;
  const auto result = program.run({server.url("/x"), server.url("/x#again"), server.url("/y")});
  CHECK(result.status == 0);
  CHECK_THAT(result.err, contains("1 of the URLs"));
  CHECK(server.requests("/x") == 1);
  CHECK(program.saved() == Texts{"x.png", "y.png"});
}

TEST_CASE("URLs come from a file and from the command line") {
  RawServer server(good());
  const Program program;
  write(program.folder() / "list", "# pictures\n" + server.url("/x") + "\r\n\n" + server.url("/y"));
  CHECK(program.run({"--input-file", "list", server.url("/z")}).status == 0);
  CHECK(program.saved() == Texts{"x.png", "y.png", "z.png"});
}

TEST_CASE("URLs come from the standard input") {
  RawServer server(good());
  const Program program;
  CHECK(program.run({"--input-file", "-"}, server.url("/x") + "\n").status == 0);
  CHECK(program.saved() == Texts{"x.png"});
}

TEST_CASE("a name comes from Content-Disposition, made safe") {
  RawServer server([](Connection& connection, const std::string& path) {
    const std::string name = path == "/1"   ? "filename=\"../../escaped.png\""
                             : path == "/2" ? "filename*=UTF-8''%e2%82%ac%2f..%2f%1b.png"
                             : path == "/3" ? "filename=\"/etc/.hidden\""
                                            : "filename=\"..\"";
    connection.respond("200 OK", "Content-Disposition: attachment; " + name + "\r\n", picture);
    return true;
  });
  const Program program;
  CHECK(program.run({server.url("/1"), server.url("/2"), server.url("/3"), server.url("/4")})
            .status == 0);
  CHECK(program.saved() == Texts{"4", "_.png", "escaped.png", "hidden"});
  CHECK(names_in(program.folder()) == Texts{"out"});
}

TEST_CASE("a name that would leave the folder does not, when it comes from the URL") {
  RawServer server(good());
  const Program program;
  CHECK(
      program.run({server.url("/a/%2e%2e%2f%2e%2e%2fx"), server.url("/%2Fetc%2Fpasswd")}).status ==
      0);
  CHECK(program.saved() == Texts{"_.._x.png", "_etc_passwd.png"});
  CHECK(names_in(program.folder()) == Texts{"out"});
}

TEST_CASE("redirects are followed, and the file keeps the name that was asked for") {
  RawServer server(faulty([](Connection& connection, const std::string&) {
    connection.respond("302 Found", "Location: /elsewhere/else.png\r\n", "moved");
    return true;
  }));
  const Program program;
  CHECK(program.run({server.url("/bad.png")}).status == 0);
  CHECK(program.saved("bad.png") == picture);
}

TEST_CASE("a chunked body is saved whole") {
  RawServer server([](Connection& connection, const std::string&) {
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    connection.send("4\r\ndefg\r\n0\r\n\r\n");
    return true;
  });
  const Program program;
  CHECK(program.run({server.url("/x.txt")}).status == 0);
  CHECK(program.saved("x.txt") == "abcdefg");
}

TEST_CASE("a body without a length ends with its connection") {
  RawServer server([](Connection& connection, const std::string&) {
    connection.send("HTTP/1.0 200 OK\r\n\r\nabc");
    return false;
  });
  const Program program;
  CHECK(program.run({server.url("/x.txt")}).status == 0);
  CHECK(program.saved("x.txt") == "abc");
}

TEST_CASE("an empty body is an empty file") {
  RawServer server([](Connection& connection, const std::string&) {
    connection.respond("200 OK", "", "");
    return true;
  });
  const Program program;
  CHECK(program.run({server.url("/x.txt")}).status == 0);
  CHECK(program.saved("x.txt").empty());
}

TEST_CASE("a large body is saved byte for byte") {
  std::string body;
  for (int i = 0; i < 1'000'000; ++i) body += std::to_string(i);
  RawServer server([&](Connection& connection, const std::string&) {
    connection.respond("200 OK", "", body);
    return true;
  });
  const Program program;
  CHECK(program.run({server.url("/x.txt")}).status == 0);
  CHECK((program.saved("x.txt") == body));
}

TEST_CASE("quiet leaves the time and nothing else") {
  RawServer server(good());
  const Program program;
  const auto result = program.run({"--quiet", server.url("/x")});
  CHECK(result.out.starts_with("Finished in "));
  CHECK(result.err.empty());
}

TEST_CASE("the comparison downloads everything twice and tells how many times faster it was") {
  RawServer server(good());
  const Program program;
  const auto result = program.run({"--compare", server.url("/x"), server.url("/y")});
  CHECK(result.status == 0);
  CHECK(count(result.out, "Finished in ") == 2);
  CHECK_THAT(result.out, contains(" times faster; the same files both times\n"));
  CHECK(names_in(program.output() / "sequential") == Texts{"x.png", "y.png"});
  CHECK(names_in(program.output() / "parallel") == Texts{"x.png", "y.png"});
}

TEST_CASE("the comparison notices that the files differ") {
  std::atomic<int> number = 0;
  RawServer server([&](Connection& connection, const std::string&) {
    connection.respond("200 OK", "", std::to_string(++number));
    return true;
  });
  const Program program;
  CHECK_THAT(program.run({"--compare", server.url("/x")}).out, contains("different files"));
}

TEST_CASE("the comparison compares nothing when something is missing") {
  RawServer server(faulty([](Connection& connection, const std::string&) {
    connection.respond("404 Not Found", "", "");
    return true;
  }));
  const Program program;
  const auto result = program.run({"--compare", server.url("/x"), server.url("/bad")});
  CHECK(result.status == 1);
  CHECK_THAT(result.out, contains("No comparison"));
}

TEST_CASE("the demonstration saves 15 different JPEG pictures and is faster in parallel",
          "[serial]") {
  const Program program;
  const auto result = program.run({"--demo", "--compare", "--workers", "15"});
  CHECK(result.status == 0);
  CHECK(result.err.empty());
  CHECK(count(result.out, " was downloaded\n") == 30);
  CHECK(count(result.out, "Finished in ") == 2);
  // The measured bar is 14; a loaded machine may be slower, but not by this much.
  CHECK(number_before(result.out, " times faster") > 5);
  const auto names = names_in(program.output() / "parallel");
  CHECK(names.size() == parallel_download::document_urls().size());
  Texts pictures;
  for (const std::string& name : names) {
    CHECK_THAT(name, support::matchers::ends_with(".jpg"));
    pictures.push_back(contents(program.output() / "parallel" / name));
    CHECK(pictures.back().starts_with("\xFF\xD8\xFF"));
    CHECK(pictures.back().ends_with("\xFF\xD9"));
  }
  std::sort(pictures.begin(), pictures.end());
  CHECK(std::unique(pictures.begin(), pictures.end()) == pictures.end());
}

TEST_CASE("the demonstration needs no proxy, whatever the environment says") {
  const Program program;
  const auto result = support::run_program(
      program.command({"--demo", "--demo-delay", "1"}),
      {.environment = {"http_proxy=http://127.0.0.1:9", "all_proxy=http://127.0.0.1:9"}});
  CHECK(result.status == 0);
}

TEST_CASE("on a terminal there is one progress line for all downloads, which is gone in the end") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) {
    WARN("no pseudo-terminal can be opened here (is /dev/pts mounted?): nothing was checked");
    return;
  }
  ::close(terminal);
  const Program program;
  std::string command;
  for (const std::string& word : program.command({"--demo", "--workers", "2"})) {
    command += "'" + word + "' ";
  }
  const auto result =
      support::run_program({"script", "--quiet", "--return", "--command", command, "/dev/null"});
  CHECK(result.status == 0);
  CHECK_THAT(result.out, contains("/15 done"));
  const std::size_t last = result.out.rfind("done,");
  CHECK_THAT(result.out.substr(last), contains("\r\x1b[K"));
}

TEST_CASE("away from a terminal there is no progress line") {
  const Program program;
  const auto result = program.run({"--demo", "--demo-delay", "1"});
  CHECK(result.err.empty());
  CHECK(result.out.find('\r') == std::string::npos);
}

TEST_CASE("help names every option and ends well") {
  const Program program;
  const auto result = program.run({"--help"});
  CHECK(result.status == 0);
  for (const char* option : {"--input-file", "--sequential", "--workers", "--compare", "--output",
                             "--retries", "--backoff", "--timeout", "--max-size", "--demo"}) {
    CHECK_THAT(result.out, contains(option));
  }
}
