// SPDX-License-Identifier: MIT
#pragma once

// A fork server that is not forked: StartMethod::spawn starts the program anew, and that process
// becomes the server before its main does anything. From then on nothing is different, but that
// code lies elsewhere (see code_addresses.hpp).
// Counterpart: multiprocessing.forkserver, which execs a fresh Python too, and
// multiprocessing.spawn.

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <concurrent/detail/os/process.hpp>
#include <concurrent/detail/os/process_exec.hpp>
#include <concurrent/detail/os/shared_memory.hpp>
#include <concurrent/detail/os/socket.hpp>
#include <concurrent/futures/detail/process/control.hpp>
#include <concurrent/futures/detail/process/fork_server.hpp>
#include <concurrent/futures/detail/process/message_areas.hpp>
#include <concurrent/futures/detail/process/own_exceptions.hpp>
#include <concurrent/futures/detail/process/worker.hpp>
#include <concurrent/multiprocessing/detail/code_addresses.hpp>
#include <concurrent/multiprocessing/freeze_support.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace concurrent::futures::detail::process {

/// What differs between workers' setups, in this order. `archive` writes or reads.
template <class Archive, class Setup>
void exchange_setup(Archive& archive, Setup& setup) {
  archive(setup.max_tasks, setup.spin, setup.limits.address_space, setup.limits.cpu_time,
          setup.limits.open_files, setup.limits.nice, setup.limits.core_dumps, setup.sandbox);
}

/// All that a fresh server is to know, in memory of its own: where the pool's code lies, and the
/// setup of its workers. @throws std::system_error, std::bad_alloc
inline os::Descriptor write_setup(const WorkerSetup& setup, bool arena) {
  ByteBuffer text;
  multiprocessing::OutputArchive archive(text);
  const auto* const map = multiprocessing::detail::code_map;
  archive(map != nullptr ? map->modules() : os::loaded_modules());
  exchange_setup(archive, setup);
  archive(arena);
  archive(plain_function(setup.initializer));
  os::Descriptor memory = os::make_shared_memory(text.size());
  const os::SharedMapping mapping(memory, text.size());
  std::memcpy(mapping.begin(), text.data(), text.size());
  return memory;
}

/// In the fresh server. From here on addresses of code are translated.
inline WorkerSetup read_setup(const os::Descriptor& memory, bool has_arena) {
  struct stat status {};
  if (::fstat(memory.number(), &status) != 0) os::throw_errno(errno, "cannot read a setup");
  const os::SharedMapping mapping(memory, static_cast<std::size_t>(status.st_size));
  ByteReader reader({mapping.begin(), mapping.size()});
  multiprocessing::InputArchive archive(reader);
  std::vector<os::Module> modules;
  archive(modules);
  multiprocessing::detail::code_map = new multiprocessing::detail::CodeMap(std::move(modules));
  WorkerSetup setup;
  exchange_setup(archive, setup);
  bool should_have_arena = false;
  archive(should_have_arena);
  if (should_have_arena != has_arena) os::throw_errno(EMFILE, "an arena has not arrived");
  try {
    void (*initializer)() = nullptr;
    archive(initializer);
    if (initializer != nullptr) setup.initializer = initializer;
  } catch (const multiprocessing::CorruptDataError&) {  // the first worker says it
    setup.initializer = [error = std::current_exception()] { std::rethrow_exception(error); };
  }
  return setup;
}

/// Starts a fork server anew, which has `control.second`. It answers is_up or is_down, or ends.
/// @throws std::system_error; nothing is left then.
inline pid_t spawn_fork_server(const os::SocketPair& control, const os::Descriptor& parent,
                               const os::Descriptor& arena, const WorkerSetup& setup) {
  // What it gets comes through its socket, where it lies when the server begins.
  const os::Descriptor setup_memory = write_setup(setup, static_cast<bool>(arena));
  const std::array numbers{parent.number(), setup_memory.number(), arena.number()};
  const char nothing = 0;
  if (!os::send_with_descriptors(control.first.number(), &nothing, sizeof nothing, numbers.data(),
                                 arena ? 3 : 2)) {
    os::throw_errno(errno, "cannot tell a fork server its setup");
  }
  const int socket = control.second.number();
  std::string name = multiprocessing::detail::spawned_program.program_name;
  std::string marker = multiprocessing::detail::SpawnedProgram::marker;
  std::string number = std::to_string(socket);
  const std::array arguments{name.data(), marker.data(), number.data(),
                             static_cast<char*>(nullptr)};
  return os::fork_process("cannot fork the process pool's fork server", [&] {
    os::reset_signal_handlers();
    // Other threads may have held any lock: nothing but system calls.
    const int error = os::run_this_program(arguments.data(), socket);
    const ServerReply reply{ServerReply::Kind::is_down, 0, error};
    ::send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
  });
}

/// The socket that a server was given; empty when somebody else has started this process.
inline os::Descriptor inherited_control(int argc, const char* const* argv) {
  const int number = argc == 3 ? std::atoi(argv[2]) : -1;
  int type = 0;
  socklen_t size = sizeof type;
  if (number <= STDERR_FILENO || ::getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    return {};
  }
  return os::Descriptor::open("cannot keep a socket", [number] {
    return ::fcntl(number, F_SETFD, FD_CLOEXEC) == 0 ? number : -1;
  });
}

inline void say(const os::Descriptor& control, ServerReply::Kind kind, int error) noexcept {
  const ServerReply reply{kind, 0, error};
  os::send_with_descriptors(control.number(), &reply, sizeof reply, nullptr, 0);
}

/// What such a process does, called by freeze_support. Returns when nobody here has started it.
inline void become_fork_server(int argc, const char* const* argv) {
  os::Descriptor control = inherited_control(argc, argv);
  if (!control) return;
  int error = ENOMEM;
  try {
    os::reset_signal_handlers();  // static constructors may have set some
    register_own_exceptions();
    char nothing = 0;
    os::Received told = os::receive_with_descriptors(control.number(), &nothing, sizeof nothing);
    os::Descriptor& parent = told.descriptors[0];
    const os::Descriptor& setup_memory = told.descriptors[1];
    const os::Descriptor& arena_memory = told.descriptors[2];
    if (!parent || !setup_memory) os::throw_errno(EMFILE, "a setup has not arrived");
    WorkerSetup setup = read_setup(setup_memory, static_cast<bool>(arena_memory));
    const Arena arena(arena_memory);
    if (arena_memory && !arena) os::throw_errno(ENOMEM, "cannot map an arena");
    setup.arena = arena ? &arena : nullptr;
    say(control, ServerReply::Kind::is_up, 0);
    begin_fork_server(std::move(control), std::move(parent), setup);
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  } catch (const std::bad_alloc&) {
  } catch (...) {  // what it was told is not what a pool of this build writes
    error = EBADMSG;
  }
  say(control, ServerReply::Kind::is_down, error);
  ::_exit(EXIT_FAILURE);
}

/// In every program that has process pools, before its main begins.
inline const bool can_become_fork_server =
    (multiprocessing::detail::spawned_program.run = &become_fork_server, true);

}  // namespace concurrent::futures::detail::process
