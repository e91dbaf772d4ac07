// SPDX-License-Identifier: MIT

// parallel_download, the program, when servers, networks, disks and users misbehave: a clear error
// each time, no half-written file, the other URLs done, an exit status that says so.

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "examples/parallel_download/program.hpp"
#include "support/catch.hpp"

using namespace parallel_download::testing;
using support::matchers::contains;
namespace fs = std::filesystem;

namespace {

struct Outcome {
  support::ProgramResult result;
  int attempts = 0;
};

/// Downloads "/bad", where `fault` happens, and "/good", and checks what holds for every fault.
Outcome download(RawServer::Handler fault, Texts arguments = {}, int retries = 1) {
  RawServer server(faulty(std::move(fault)));
  const Program program;
  arguments.insert(arguments.begin(), {"--retries", std::to_string(retries), "--backoff", "0.01"});
  arguments.insert(arguments.end(), {server.url("/bad"), server.url("/good")});
  Outcome outcome{program.run(arguments)};
  outcome.attempts = server.requests("/bad");
  INFO(outcome.result.out << outcome.result.err);
  CHECK(outcome.result.status == 1);
  CHECK(program.saved() == Texts{"good.png"});
  CHECK(program.saved("good.png") == picture);
  CHECK_THAT(outcome.result.err, contains(server.url("/bad") + ": "));
  CHECK_THAT(outcome.result.err, contains("1 of 2 were not downloaded"));
  return outcome;
}

RawServer::Handler always(const std::string& status, const std::string& headers = {}) {
  return [=](Connection& connection, const std::string&) {
    connection.respond(status, headers, "an explanation");
    return true;
  };
}

/// Sends this and closes the connection.
RawServer::Handler sends(const std::string& bytes) {
  return [=](Connection& connection, const std::string&) {
    connection.send(bytes);
    return false;
  };
}

/// Sends this and then nothing.
RawServer::Handler stalls_after(const std::string& bytes) {
  return [=](Connection& connection, const std::string&) {
    connection.send(bytes);
    connection.wait_until_client_leaves();
    return false;
  };
}

}  // namespace

TEST_CASE("404 is an error at once") {
  const auto [result, attempts] = download(always("404 Not Found"));
  CHECK_THAT(result.err, contains(": HTTP 404 Not Found\n"));
  CHECK(attempts == 1);
}

TEST_CASE("500 is tried again") {
  const auto [result, attempts] = download(always("500 Internal Server Error"));
  CHECK_THAT(result.err, contains(": HTTP 500 Internal Server Error (2 attempts)\n"));
  CHECK(attempts == 2);
}

TEST_CASE("500 and then success is success") {
  std::atomic<int> requests = 0;
  RawServer server([&](Connection& connection, const std::string&) {
    connection.respond(++requests < 3 ? "500 Internal Server Error" : "200 OK", "", picture);
    return true;
  });
  const Program program;
  const auto result = program.run({"--retries", "2", "--backoff", "0.01", server.url("/x.png")});
  CHECK(result.status == 0);
  CHECK_THAT(result.err, contains("retry 1 of 2"));
  CHECK_THAT(result.err, contains("retry 2 of 2"));
  CHECK(program.saved() == Texts{"x.png"});
  CHECK(program.saved("x.png") == picture);
}

TEST_CASE("a failed attempt leaves nothing in the file of the next") {
  std::atomic<int> requests = 0;
  RawServer server([&](Connection& connection, const std::string&) {
    if (++requests > 1) {
      connection.respond("200 OK", "", "second");
      return true;
    }
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst, which is longer");
    return false;
  });
  const Program program;
  CHECK(program.run({"--backoff", "0.01", server.url("/x.txt")}).status == 0);
  CHECK(program.saved("x.txt") == "second");
}

TEST_CASE("Retry-After is complied with") {
  std::atomic<int> requests = 0;
  RawServer server([&](Connection& connection, const std::string&) {
    const bool first = ++requests == 1;
    connection.respond(first ? "503 Service Unavailable" : "200 OK",
                       first ? "Retry-After: 1\r\n" : "", picture);
    return true;
  });
  const Program program;
  const auto start = std::chrono::steady_clock::now();
  const auto result = program.run({"--backoff", "0.01", server.url("/x.png")});
  CHECK(result.status == 0);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::seconds(1));
}

TEST_CASE("a Retry-After that is too long ends the attempts") {
  const auto [result, attempts] =
      download(always("429 Too Many Requests", "Retry-After: 86400\r\n"));
  CHECK_THAT(result.err, contains("HTTP 429 Too Many Requests (the server asks to wait 86400 s)"));
  CHECK(attempts == 1);
}

TEST_CASE("204 has nothing to save") {
  const auto [result, attempts] = download(sends("HTTP/1.1 204 No Content\r\n\r\n"));
  CHECK_THAT(result.err, contains("HTTP 204 No Content"));
}

TEST_CASE("a server that never accepts is given up after the connect timeout") {
  const FullPort port;
  RawServer server(good());
  const Program program;
  const auto start = std::chrono::steady_clock::now();
  const auto result = program.run(
      {"--retries", "0", "--connect-timeout", "0.3", port.url("/bad"), server.url("/good")});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("imeout"));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
  CHECK(program.saved() == Texts{"good.png"});
}

TEST_CASE("a port where nobody listens is an error") {
  int port = 0;
  {
    const Socket socket = listening_socket(1);
    port = port_of(socket);
  }
  const Program program;
  const auto result = program.run(
      {"--retries", "1", "--backoff", "0.01", "http://127.0.0.1:" + std::to_string(port) + "/x"});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("onnect"));
  CHECK_THAT(result.err, contains("(2 attempts)"));
  CHECK(program.saved().empty());
}

TEST_CASE("a server that stalls before its headers is given up") {
  CHECK_THAT(download(stalls_after(""), {"--timeout", "0.3"}).result.err, contains("timed out"));
}

TEST_CASE("a server that stalls in its headers is given up") {
  const auto outcome =
      download(stalls_after("HTTP/1.1 200 OK\r\nContent-Le"), {"--timeout", "0.3"});
  CHECK_THAT(outcome.result.err, contains("timed out"));
}

TEST_CASE("a server that stalls in the body is given up, and tried again first") {
  const auto outcome = download(stalls_after("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
                                {"--timeout", "0.3"});
  CHECK_THAT(outcome.result.err, contains("timed out"));
  CHECK(outcome.attempts == 2);
}

TEST_CASE("a server that drips is given up when the whole time is up") {
  const auto drip = [](Connection& connection, const std::string&) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (connection.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return false;
  };
  const auto start = std::chrono::steady_clock::now();
  CHECK_THAT(download(drip, {"--timeout", "0.5"}, 0).result.err, contains("timed out"));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("a connection that is reset in the middle of the body is an error") {
  const auto outcome = download([](Connection& connection, const std::string&) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    connection.reset_on_close();
    return false;
  });
  CHECK(outcome.attempts == 2);
}

TEST_CASE("a connection that is closed before the answer is an error") {
  CHECK_THAT(download(sends("")).result.err, contains("mpty reply"));
}

TEST_CASE("a body shorter than its Content-Length is an error") {
  const auto outcome = download(sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
  CHECK_THAT(outcome.result.err, contains("6 bytes remaining"));
}

TEST_CASE("a body longer than its Content-Length is an error") {
  const auto outcome = download(sends("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"));
  CHECK_THAT(outcome.result.err, contains("more than its Content-Length"));
}

TEST_CASE("a chunked body without its end is an error") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  SECTION("cut between chunks") { download(sends(head + "3\r\nabc\r\n")); }
  SECTION("cut in a chunk") { download(sends(head + "9\r\nabc")); }
  SECTION("left open") { download(stalls_after(head + "3\r\nabc\r\n"), {"--timeout", "0.3"}); }
  SECTION("nonsense") { download(sends(head + "xyz\r\nabc\r\n")); }
}

TEST_CASE("what is no HTTP is an error") { download(sends("SSH-2.0-OpenSSH_9.2\r\n")); }

TEST_CASE("headers that never end are an error") {
  const auto outcome = download([](Connection& connection, const std::string&) {
    connection.send("HTTP/1.1 200 OK\r\n");
    while (connection.send("X-More: " + std::string(1000, 'x') + "\r\n")) {
    }
    return false;
  });
  CHECK(outcome.attempts == 1);
}

TEST_CASE("a redirect in a circle is an error") {
  const auto outcome = download(always("302 Found", "Location: /bad\r\n"));
  CHECK_THAT(outcome.result.err, contains("more than 10 redirects"));
  CHECK(outcome.attempts == 11);
}

TEST_CASE("a redirect to anything but http and https is refused") {
  const Program files;
  write(files.folder() / "secret", "secret");
  const std::string file = "file://" + (files.folder() / "secret").string();
  for (const std::string& target :
       {file, std::string("ftp://127.0.0.1/x"), std::string("gopher://127.0.0.1/x")}) {
    const auto [result, attempts] = download(always("302 Found", "Location: " + target + "\r\n"));
    CHECK_THAT(result.err,
               contains("redirected to " + target + ": only http and https are allowed"));
    CHECK(attempts == 1);
  }
}

TEST_CASE("what a server writes into an error does not reach the terminal as it is") {
  const auto outcome = download(always("302 Found", "Location: file:///\x1b[31m\r\n"));
  CHECK(outcome.result.err.find('\x1b') == std::string::npos);
}

TEST_CASE("a body over the limit is refused, whether its length is told or not") {
  const std::string body(2000, 'x');
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const auto refused = [&](const std::string& response) {
    const auto outcome = download(sends(response), {"--max-size", "1k"});
    CHECK_THAT(outcome.result.err, contains("larger than the limit of 1000 bytes"));
    CHECK(outcome.attempts == 1);
  };
  SECTION("told") { refused(ok + "Content-Length: 2000\r\n\r\n" + body); }
  SECTION("not told") { refused(ok + "\r\n" + body); }
  SECTION("chunked") {
    refused(ok + "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + body + "\r\n0\r\n\r\n");
  }
}

TEST_CASE("a body of exactly the limit is accepted") {
  RawServer server([](Connection& connection, const std::string&) {
    connection.respond("200 OK", "", std::string(1000, 'x'));
    return true;
  });
  const Program program;
  CHECK(program.run({"--max-size", "1000", server.url("/x")}).status == 0);
}

TEST_CASE("a bad URL is an error of its own and the others are downloaded") {
  RawServer server(good());
  for (const char* url :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "no-url", "http://", "http://h:x/"}) {
    const Program program;
    const auto result = program.run({url, server.url("/x")});
    CAPTURE(url, result.err);
    CHECK(result.status == 1);
    CHECK_THAT(result.err, contains(std::string(url) + ": "));
    CHECK(program.saved() == Texts{"x.png"});
  }
}

TEST_CASE("a host that does not exist is an error with its name") {
  const Program program;
  const auto result = program.run({"--retries", "0", "http://no-such-host.invalid/x"});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("no-such-host.invalid"));
}

TEST_CASE("an output folder that cannot be made ends the program before any request") {
  RawServer server(good());
  const Program program;
  write(program.folder() / "out", "a file");
  const auto result = program.run({server.url("/x")});
  CHECK(result.status == 2);
  CHECK_THAT(result.err, contains(program.output().string()));
  CHECK(server.requests("/x") == 0);
}

TEST_CASE("a disk that is full is an error and leaves no part of a file") {
  RawServer server(faulty([](Connection& connection, const std::string&) {
    connection.respond("200 OK", "", std::string(1'000'000, 'x'));
    return true;
  }));
  const Program program;
  // A limit on the size of files is the full disk of those who may not mount one.
  Texts command = {"sh", "-c", "ulimit -f 64 && exec \"$@\"", "sh"};
  for (const std::string& word : program.command({server.url("/bad"), server.url("/good")})) {
    command.push_back(word);
  }
  const auto result = support::run_program(command);
  CHECK(result.status == 1);
  CHECK_THAT(result.err,
             contains("cannot write to " + program.output().string() + ": File too large"));
  CHECK(program.saved() == Texts{"good.png"});
}

TEST_CASE("a list without URLs ends the program") {
  const Program program;
  write(program.folder() / "list", "# nothing\n");
  const auto result = program.run({"--input-file", "list"});
  CHECK(result.status == 2);
  CHECK_THAT(result.err, contains("there is no URL in list"));
}

TEST_CASE("a list that cannot be read ends the program with its name and the reason") {
  const Program program;
  const auto missing = program.run({"--input-file", "no-such-file"});
  CHECK(missing.status == 2);
  CHECK_THAT(missing.err, contains("cannot read no-such-file: No such file or directory"));
  const auto folder = program.run({"--input-file", program.folder().string()});
  CHECK(folder.status == 2);
  CHECK_THAT(folder.err, contains("is a folder"));
}

TEST_CASE("wrong usage ends the program with status 2 and a reason") {
  const Program program;
  for (const Texts& arguments :
       {Texts{"--workers", "0"}, Texts{"--workers", "-1"}, Texts{"--workers", "x"},
        Texts{"--timeout", "0"}, Texts{"--timeout", "nan"}, Texts{"--timeout", "inf"},
        Texts{"--timeout", "-1"}, Texts{"--retries", "-1"}, Texts{"--max-size", "-1"},
        Texts{"--max-size", "1X"}, Texts{"--sequential", "--workers", "2"},
        Texts{"--sequential", "--compare"}, Texts{"--demo", "http://h/"}, Texts{"--no-such-option"},
        Texts{"--ca-file", "no-such-file"}, Texts{"--demo-delay", "5"}}) {
    CAPTURE(arguments);
    const auto result = program.run(arguments);
    CHECK(result.status == 2);
    CHECK_FALSE(result.err.empty());
    CHECK(program.saved().empty());
  }
}

namespace {

/// Runs the program, and sends it `signal` as soon as half a file is there.
support::ProgramResult interrupted(const Program& program, int signal, const Texts& arguments) {
  const fs::path pid_file = program.folder() / "pid";
  std::atomic<bool> sent = false;
  RawServer server([&](Connection& connection, const std::string&) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
    while (!sent && program.saved().empty() && !connection.stopped()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (!sent.exchange(true)) ::kill(std::stoi(contents(pid_file)), signal);
    connection.wait_until_client_leaves();
    return false;
  });
  // --default-signal: who runs tests in the background ignores SIGINT, and would hand that down.
  Texts command = {
      "env", "--default-signal", "sh", "-c", "echo $$ > \"$0\" && exec \"$@\"", pid_file.string()};
  for (const std::string& word : program.command(arguments)) command.push_back(word);
  for (int i = 0; i < 9; ++i) command.push_back(server.url("/" + std::to_string(i)));
  return support::run_program(command);
}

}  // namespace

TEST_CASE("Ctrl-C removes the temporary files and ends with 130") {
  const Program program;
  const auto start = std::chrono::steady_clock::now();
  const auto result = interrupted(program, SIGINT, {"--workers", "3"});
  CHECK(result.status == 130);
  CHECK_THAT(result.err, contains("interrupted: 9 of 9 were not downloaded"));
  CHECK(program.saved().empty());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("Ctrl-C ends sequential downloads and the comparison, too") {
  for (const char* mode : {"--sequential", "--compare"}) {
    const Program program;
    CHECK(interrupted(program, SIGINT, {mode}).status == 130);
    CHECK_FALSE(fs::exists(program.output() / "parallel"));
  }
}

TEST_CASE("SIGTERM and SIGHUP clean up as Ctrl-C does") {
  for (const int signal : {SIGTERM, SIGHUP}) {
    const Program program;
    CHECK(interrupted(program, signal, {}).status == 128 + signal);
    CHECK(program.saved().empty());
  }
}

TEST_CASE("Ctrl-C ends the wait between two attempts") {
  const Program program;
  const fs::path pid_file = program.folder() / "pid";
  RawServer server([&](Connection& connection, const std::string&) {
    connection.respond("503 Service Unavailable", "", "");
    connection.wait_until_client_leaves();  // now it waits for its next attempt
    ::kill(std::stoi(contents(pid_file)), SIGINT);
    return false;
  });
  Texts command = {
      "env", "--default-signal", "sh", "-c", "echo $$ > \"$0\" && exec \"$@\"", pid_file.string()};
  for (const std::string& word : program.command({"--backoff", "10000", server.url("/x")})) {
    command.push_back(word);
  }
  const auto result = support::run_program(command);
  CHECK(result.status == 130);
  CHECK(result.err.find("HTTP 503") != std::string::npos);
}

TEST_CASE("the program ends with its pipe: nobody reads what it prints") {
  RawServer server(good());
  const Program program;
  Texts command = {"sh", "-c", "\"$@\" | true", "sh"};
  for (const std::string& word : program.command({server.url("/x")})) command.push_back(word);
  CHECK(support::run_program(command).status == 0);
  CHECK(program.saved() == Texts{"x.png"});
}
