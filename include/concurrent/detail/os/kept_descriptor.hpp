// SPDX-License-Identifier: MIT
#pragma once

// A descriptor among those of somebody who may close any, or put another in its place.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <concurrent/detail/os/descriptor.hpp>
#include <utility>

namespace concurrent::detail::os {

/// Moved out of the way of those who close all descriptors up to 1024, and recognised.
class KeptDescriptor {
 public:
  explicit KeptDescriptor(Descriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {
    move_away();
    struct stat identity {};
    if (::fstat(number(), &identity) != 0) return;
    device_ = identity.st_dev;
    inode_ = identity.st_ino;
  }

  [[nodiscard]] int number() const noexcept { return descriptor_.number(); }
  /// Whether the number still stands for what it did.
  [[nodiscard]] bool is_there() const noexcept {
    struct stat now {};
    return ::fstat(number(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
  }

 private:
  void move_away() noexcept {
    constexpr rlim_t out_of_the_way = 1025;
    constexpr rlim_t margin = 16;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= margin) return;
    const auto lowest = static_cast<int>((std::min)(out_of_the_way, limit.rlim_cur - margin));
    try {
      descriptor_ = Descriptor::open("cannot move a descriptor", [this, lowest] {
        return ::fcntl(number(), F_DUPFD_CLOEXEC, lowest);
      });
    } catch (...) {  // no room: it stays where it is
    }
  }

  Descriptor descriptor_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace concurrent::detail::os
