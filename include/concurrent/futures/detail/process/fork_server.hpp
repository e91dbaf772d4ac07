// SPDX-License-Identifier: MIT
#pragma once

// The fork server: a small process with one thread, forked when the pool is made, that forks the
// workers. So a worker that is started later sees what the parent had when the pool was made, and
// never comes from a process with threads. It also watches the parent and buries the dead.
// Counterpart: multiprocessing.forkserver.

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/detail/os/socket.hpp>
#include <concurrent/futures/detail/process/control.hpp>
#include <concurrent/futures/detail/process/worker.hpp>
#include <concurrent/multiprocessing/detail/shared_heap.hpp>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace concurrent::futures::detail::process {

/// The server's side; lives in the child only.
class ForkServer {
 public:
  ForkServer(os::Descriptor control, os::Descriptor parent, const WorkerSetup& setup)
      : control_(std::move(control)), parent_(std::move(parent)), setup_(setup) {}

  [[noreturn]] void run();

 private:
  struct Outgoing {
    ServerReply reply;
    std::array<os::Descriptor, most_descriptors_of_started> descriptors;
  };

  void receive_requests();
  void start_workers();
  void start_worker();
  void signal_worker(pid_t pid, int signal) const noexcept;
  void bury_the_dead();
  void send_replies();
  [[noreturn]] void end() noexcept;
  [[noreturn]] void follow_the_parent() noexcept;
  [[nodiscard]] bool is_worker(pid_t pid) const noexcept {
    return std::find(workers_.begin(), workers_.end(), pid) != workers_.end();
  }

  os::Descriptor control_;
  os::Descriptor parent_;  // a pidfd
  os::Descriptor children_;
  const WorkerSetup& setup_;
  std::vector<pid_t> workers_;
  std::deque<Outgoing> outgoing_;
  std::size_t to_start_ = 0;  // workers that were asked for
  bool pool_has_left_ = false;
  bool pool_said_so_ = false;
  bool too_many_on_their_way_ = false;  // descriptors of this user, more than the system allows
};

/// What a fresh fork server does. Its handlers are reset and its signals blocked.
[[noreturn]] inline void begin_fork_server(os::Descriptor control, os::Descriptor parent,
                                           const WorkerSetup& setup) {
  auto& registry = os::DescriptorRegistry::instance();
  registry.close_all_but({control.number(), parent.number()});
  os::leave_terminal();
  os::give_up_standard_input();
  os::discard_inherited_output();
  os::give_back_free_memory();
  // What other pools send is not for this one; nor is the heap, where workers share no memory.
  auto& heap = multiprocessing::detail::SharedHeap::instance();
  if (setup.arena == nullptr) heap.leave();
  registry.unmap_all_but({setup.arena != nullptr ? setup.arena->base() : nullptr, heap.base()});
  // What outlives a worker becomes a child of the server, and so can be found when the parent dies.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  try {
    ForkServer(std::move(control), std::move(parent), setup).run();
  } catch (...) {  // out of memory: the pool sees the server's end
  }
  ::_exit(EXIT_FAILURE);
}

// Implementation

inline void ForkServer::run() {
  sigset_t child_ended;
  ::sigemptyset(&child_ended);
  ::sigaddset(&child_ended, SIGCHLD);
  children_ = os::Descriptor::open("cannot make a signalfd", [&child_ended] {
    return ::signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
  });
  for (;;) {
    const bool nothing_to_do = workers_.empty() && outgoing_.empty() && to_start_ == 0;
    if ((pool_has_left_ || pool_said_so_) && nothing_to_do) end();
    const bool waits_to_send = !outgoing_.empty() && !too_many_on_their_way_;
    const auto control_events = static_cast<short>(waits_to_send ? POLLIN | POLLOUT : POLLIN);
    std::array<pollfd, 3> ready{{{pool_has_left_ ? -1 : control_.number(), control_events, 0},
                                 {parent_.number(), POLLIN, 0},
                                 {children_.number(), POLLIN, 0}}};
    constexpr int a_while = 5;  // ms; nothing tells when others have received theirs
    if (::poll(ready.data(), ready.size(), too_many_on_their_way_ ? a_while : -1) < 0) continue;
    if (ready[1].revents != 0) follow_the_parent();
    if (ready[2].revents != 0) bury_the_dead();
    if (ready[0].revents != 0) receive_requests();
    send_replies();
    start_workers();
  }
}

inline void ForkServer::receive_requests() {
  for (;;) {
    ServerRequest request;
    const ssize_t got = ::recv(control_.number(), &request, sizeof request, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) {
      pool_has_left_ = true;
      outgoing_.clear();
      to_start_ = 0;
      return;
    }
    if (got != sizeof request) continue;
    switch (request.kind) {
      case ServerRequest::Kind::start_worker:
        ++to_start_;
        start_workers();
        break;
      case ServerRequest::Kind::signal_worker:
        signal_worker(request.pid, request.signal);
        break;
      case ServerRequest::Kind::leave:
        pool_said_so_ = true;
        break;
    }
  }
}

/// One after the other, as their replies can be sent: the pool and the worker go on while the next
/// one is made. A reply that must wait holds descriptors, of which this process has only so many.
inline void ForkServer::start_workers() {
  while (to_start_ != 0 && outgoing_.empty()) {
    --to_start_;
    start_worker();
    send_replies();
  }
}

inline void ForkServer::start_worker() {
  workers_.reserve(workers_.size() + 1);
  Outgoing& answer = outgoing_.emplace_back();
  answer.reply.kind = ServerReply::Kind::failed;
  try {
    os::SocketPair channel = os::socket_pair(SOCK_STREAM);
    os::Bell bell = os::make_bell();
    os::Descriptor memory = os::make_shared_memory(sizeof(SharedBlock));
    const os::SharedMapping mapping(memory, sizeof(SharedBlock));
    SharedBlock& block = *::new (mapping.begin()) SharedBlock;
    block.pool_listens.store(1, std::memory_order_relaxed);  // nobody else has it yet
    const pid_t server = ::getpid();
    const pid_t pid = os::fork_process("cannot fork a worker process", [&] {
      os::DescriptorRegistry::instance().close_all_but(
          {channel.second.number(), bell.heard.number()});
      begin_worker(std::move(channel.second), std::move(bell.heard), block, server, setup_);
    });
    workers_.push_back(pid);
    answer.reply = {ServerReply::Kind::started, pid, 0};
    answer.descriptors[0] = std::move(channel.first);
    answer.descriptors[1] = os::open_process(pid);
    answer.descriptors[2] = std::move(memory);
    answer.descriptors[3] = std::move(bell.rope.end());
    answer.descriptors[4] = std::move(bell.rope.keeper());
    answer.reply.code = static_cast<std::int32_t>(
        answer.descriptors[4] ? most_descriptors_of_started : least_descriptors_of_started);
  } catch (const std::system_error& error) {
    // A worker that was forked, but cannot be watched, finds its channel closed and ends.
    answer.descriptors = {};
    answer.reply = {ServerReply::Kind::failed, answer.reply.pid, error.code().value()};
  }
}

inline void ForkServer::signal_worker(pid_t pid, int signal) const noexcept {
  if (!is_worker(pid)) return;  // reaped; its number may be another's by now
  ::kill(pid, signal);
  ::kill(-pid, signal);
}

inline void ForkServer::bury_the_dead() {
  signalfd_siginfo ignored{};
  while (::read(children_.number(), &ignored, sizeof ignored) > 0) {
  }
  for (;;) {
    siginfo_t dead{};
    if (::waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) != 0 || dead.si_pid == 0) return;
    const pid_t pid = dead.si_pid;
    const bool killed = dead.si_code != CLD_EXITED;
    // While it is a zombie, its number and its group's are nobody else's.
    if (killed && is_worker(pid)) ::kill(-pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    const auto worker = std::find(workers_.begin(), workers_.end(), pid);
    if (worker == workers_.end()) continue;  // something a task left behind
    workers_.erase(worker);
    if (!pool_has_left_ && !pool_said_so_) {
      outgoing_.emplace_back().reply = {ServerReply::Kind::ended, pid, status};
    }
  }
}

inline void ForkServer::send_replies() {
  too_many_on_their_way_ = false;
  while (!outgoing_.empty()) {
    const Outgoing& first = outgoing_.front();
    std::array<int, most_descriptors_of_started> numbers{};
    std::size_t count = 0;
    while (count < numbers.size() && first.descriptors[count]) {
      numbers[count] = first.descriptors[count].number();
      ++count;
    }
    if (!os::send_with_descriptors(control_.number(), &first.reply, sizeof first.reply,
                                   numbers.data(), count)) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      too_many_on_their_way_ = errno == ETOOMANYREFS;
      if (too_many_on_their_way_) return;
      if (errno != EPIPE && errno != ECONNRESET) ::_exit(EXIT_FAILURE);
      outgoing_.clear();  // the pool has left; what it has said before is still to be received
      to_start_ = 0;
      return;
    }
    outgoing_.pop_front();
  }
}

/// The pool has left, and all workers have ended. A process that dies closes its sockets before it
/// is seen to be dead, and idle workers end by that; what their tasks had started must end too.
inline void ForkServer::end() noexcept {
  constexpr std::chrono::seconds longest_death{1};
  if (!pool_said_so_ && os::wait_readable(parent_.number(), longest_death)) follow_the_parent();
  ::_exit(EXIT_SUCCESS);
}

/// The parent has died: so does everything that came from it through this server.
inline void ForkServer::follow_the_parent() noexcept {
  for (const pid_t worker : workers_) {
    ::kill(-worker, SIGKILL);
    ::kill(worker, SIGKILL);
  }
  // What the tasks had started falls to the server as its parents die. Until nothing is left:
  const std::string list = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
  for (;;) {
    if (std::FILE* const children = std::fopen(list.c_str(), "re")) {
      for (pid_t child = 0; std::fscanf(children, "%d", &child) == 1;) ::kill(child, SIGKILL);
      std::fclose(children);
    }
    if (::waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) ::_exit(EXIT_SUCCESS);
  }
}

}  // namespace concurrent::futures::detail::process
