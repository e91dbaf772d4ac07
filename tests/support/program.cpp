// SPDX-License-Identifier: MIT

#include "support/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

extern char** environ;

namespace support {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

/// A descriptor that is closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Pipe make_pipe() {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, "pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::string>& additions) {
  std::vector<std::string> all(additions.rbegin(), additions.rend());  // getenv takes the first
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

pid_t start(std::vector<std::string> command, const ProgramOptions& options, const Pipe& in,
            const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  if (!options.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  }
  std::vector<std::string> environment = environment_with(options.environment);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, command.at(0).c_str(), &actions, nullptr,
                                   pointers_to(command).data(), pointers_to(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail(error, "cannot start " + command[0]);
  return pid;
}

/// Moves what can be moved through the pipes until the program has closed its output.
class Exchange {
 public:
  Exchange(Pipe in, Pipe out, Pipe err, const std::string& input)
      : in_(std::move(in.write)),
        out_(std::move(out.read)),
        err_(std::move(err.read)),
        input_(input) {
    ::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
  }

  /// False when `end` came first.
  bool run(std::chrono::steady_clock::time_point end, ProgramResult& result) {
    while (out_.get() >= 0 || err_.get() >= 0) {
      if (sent_ == input_.size()) in_.close();
      std::array<pollfd, 3> fds{
          {{in_.get(), POLLOUT, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      if (::poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
        fail(errno, "poll");
      }
      if (fds[0].revents != 0) send();
      if (fds[1].revents != 0) receive(out_, result.out);
      if (fds[2].revents != 0) receive(err_, result.err);
    }
    return true;
  }

 private:
  void send() {
    const auto count = ::write(in_.get(), input_.data() + sent_, input_.size() - sent_);
    if (count < 0 && errno != EAGAIN && errno != EINTR) in_.close();  // it reads no more
    if (count > 0) sent_ += static_cast<std::size_t>(count);
  }

  static void receive(Descriptor& from, std::string& into) {
    std::array<char, 65536> buffer;
    const auto count = ::read(from.get(), buffer.data(), buffer.size());
    if (count > 0) into.append(buffer.data(), static_cast<std::size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) from.close();
  }

  Descriptor in_;
  Descriptor out_;
  Descriptor err_;
  const std::string& input_;
  std::size_t sent_ = 0;
};

/// SIGPIPE ignored for this scope: a program may end before it has read its input.
class IgnoreSigpipe {
 public:
  IgnoreSigpipe() { before_ = std::signal(SIGPIPE, SIG_IGN); }
  ~IgnoreSigpipe() { std::signal(SIGPIPE, before_); }
  IgnoreSigpipe(const IgnoreSigpipe&) = delete;
  IgnoreSigpipe& operator=(const IgnoreSigpipe&) = delete;

 private:
  void (*before_)(int) = SIG_DFL;
};

}  // namespace

ProgramResult run_program(const std::vector<std::string>& command, const ProgramOptions& options) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const pid_t pid = start(command, options, in, out, err);
  in.read.close();
  out.write.close();
  err.write.close();

  ProgramResult result;
  const IgnoreSigpipe ignore;
  Exchange exchange(std::move(in), std::move(out), std::move(err), options.input);
  result.timed_out = !exchange.run(std::chrono::steady_clock::now() + options.timeout, result);
  if (result.timed_out) ::kill(pid, SIGKILL);

  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) fail(errno, "waitpid");
  }
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

std::string example(const std::string& name) {
  const char* folder = std::getenv("CONCURRENT_EXAMPLES_DIR");
  return (folder != nullptr ? std::string(folder) : std::string(SUPPORT_EXAMPLES_DIR)) + "/" + name;
}

}  // namespace support
