// SPDX-License-Identifier: MIT
#pragma once

// What the pool and its fork server say to each other, one message a packet.

#include <sys/types.h>

#include <concurrent/detail/os/socket.hpp>
#include <cstdint>

namespace concurrent::futures::detail::process {

/// From the pool. That it closes the socket means: no more workers, end when all have ended. If it
/// has not said `leave`, its process may be dying.
struct ServerRequest {
  enum class Kind : std::uint32_t {
    start_worker,
    signal_worker,  // and all that it has started
    leave,          // the last one: from now on nobody asks how workers end
  };
  Kind kind{};
  pid_t pid = 0;
  std::int32_t signal = 0;
};

/// From the server.
struct ServerReply {
  enum class Kind : std::uint32_t {
    started,  // with `code` descriptors: the worker's socket, its pidfd, the memory that it shares,
              // and the rope of its bell, which may be two
    failed,   // `code` is an errno
    ended,    // `code` is a wait status; the worker is reaped
    is_up,    // once, from a server that was started anew
    is_down,  // instead of that, and it ends; `code` is an errno
  };
  Kind kind{};
  pid_t pid = 0;
  std::int32_t code = 0;
};

inline constexpr std::size_t least_descriptors_of_started = 4;
inline constexpr std::size_t most_descriptors_of_started = 5;

}  // namespace concurrent::futures::detail::process
