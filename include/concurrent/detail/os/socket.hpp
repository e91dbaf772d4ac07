// SPDX-License-Identifier: MIT
#pragma once

// Pairs of connected local sockets, and descriptors that travel through them.

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <cstddef>
#include <cstring>
#include <utility>

namespace concurrent::detail::os {

struct SocketPair {
  Descriptor first;
  Descriptor second;
};

/// Two connected sockets of AF_UNIX, closed on exec. @throws std::system_error
inline SocketPair socket_pair(int type) {
  DescriptorRegistry& registry = DescriptorRegistry::instance();
  const auto lock = registry.lock();
  registry.reserve(2);
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw_errno(errno, "cannot make a socket pair");
  }
  return {Descriptor::adopt(ends[0]), Descriptor::adopt(ends[1])};
}

/// How many descriptors a message may carry.
inline constexpr std::size_t max_passed_descriptors = 5;

/// Sends one message with descriptors, without waiting. False with errno: not sent.
inline bool send_with_descriptors(int socket, const void* data, std::size_t size,
                                  const int* descriptors, std::size_t count) noexcept {
  iovec part{const_cast<void*>(data), size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_passed_descriptors)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

struct Received {
  ssize_t size = -1;  // 0: the other end is closed; -1: see errno
  std::array<Descriptor, max_passed_descriptors> descriptors;
};

/// Receives one message and the descriptors in it, without waiting. Those for which this process
/// has no room are missing.
inline Received receive_with_descriptors(int socket, void* data, std::size_t size) {
  iovec part{data, size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_passed_descriptors)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();

  Received received;
  DescriptorRegistry& registry = DescriptorRegistry::instance();
  const auto lock = registry.lock();
  registry.reserve(max_passed_descriptors);
  do {
    received.size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received.size < 0 && errno == EINTR);
  if (received.size < 0) return received;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return received;
  const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t index = 0; index < count && index < received.descriptors.size(); ++index) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header) + index * sizeof(int), sizeof number);
    received.descriptors[index] = Descriptor::adopt(number);
  }
  return received;
}

}  // namespace concurrent::detail::os
