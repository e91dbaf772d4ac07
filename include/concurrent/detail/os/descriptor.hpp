// SPDX-License-Identifier: MIT
#pragma once

// The file descriptors that this library opens: owned, closed on exec, and known by number, so that
// a child that is forked can close those that it inherited. The same for memory that it shares.
// No counterpart in Python, where descriptors are not inherited across fork by design of exec only.

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace concurrent::detail::os {

[[noreturn]] inline void throw_errno(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

/// The numbers of all descriptors that the library has open, and all memory that it shares with
/// other processes. Each is made and entered under the mutex, and a fork holds it, so that no child
/// inherits one that it does not know of.
class DescriptorRegistry {
 public:
  static DescriptorRegistry& instance() {
    static auto* const registry = new DescriptorRegistry;  // never destroyed: static pools use it
    return *registry;
  }

  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  // Under the lock:
  void reserve(std::size_t more) { open_.reserve(open_.size() + more); }
  void enter(int descriptor) noexcept { open_.push_back(descriptor); }  // after reserve
  /// False when a child has closed it as not its own; the number may be another's by now.
  bool leave(int descriptor) noexcept {
    const auto found = std::find(open_.begin(), open_.end(), descriptor);
    if (found == open_.end()) return false;
    *found = open_.back();
    open_.pop_back();
    return true;
  }
  void reserve_mappings(std::size_t more) { mapped_.reserve(mapped_.size() + more); }
  void enter_mapping(void* begin, std::size_t size) noexcept { mapped_.push_back({begin, size}); }
  /// False when a child has unmapped it as not its own.
  bool leave_mapping(const void* begin) noexcept {
    const auto found = std::find_if(mapped_.begin(), mapped_.end(),
                                    [begin](const auto& each) { return each.begin == begin; });
    if (found == mapped_.end()) return false;
    *found = mapped_.back();
    mapped_.pop_back();
    return true;
  }
  /// In a child, which has one thread: gives up the memory of others.
  void unmap_all_but(std::initializer_list<const void*> kept) noexcept {
    const auto is_kept = [kept](const Mapping& each) {
      return std::find(kept.begin(), kept.end(), each.begin) != kept.end();
    };
    for (const Mapping& each : mapped_) {
      if (!is_kept(each)) ::munmap(each.begin, each.size);
    }
    mapped_.erase(std::remove_if(mapped_.begin(), mapped_.end(),
                                 [&](const Mapping& each) { return !is_kept(each); }),
                  mapped_.end());
  }
  /// In a child, which has one thread: closes what it inherited, except what it keeps.
  void close_all_but(std::initializer_list<int> kept) noexcept {
    const auto is_kept = [kept](int descriptor) {
      return std::find(kept.begin(), kept.end(), descriptor) != kept.end();
    };
    for (const int descriptor : open_) {
      if (!is_kept(descriptor)) ::close(descriptor);
    }
    open_.erase(std::remove_if(open_.begin(), open_.end(), [&](int d) { return !is_kept(d); }),
                open_.end());
  }

 private:
  struct Mapping {
    void* begin;
    std::size_t size;
  };

  DescriptorRegistry() {
    ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                     [] { instance().mutex_.unlock(); });
  }

  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<Mapping> mapped_;
};

/// Owns one descriptor, entered in the registry.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { reset(); }

  /// Enters what was just opened; the caller holds the registry's lock and has reserved. Standard
  /// streams that the program has closed stay closed: nobody may print into a channel.
  static Descriptor adopt(int number) noexcept {
    if (number >= 0 && number < 3) {
      const int higher = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
      const int error = errno;
      ::close(number);
      errno = error;
      number = higher;
    }
    Descriptor descriptor;
    if (number < 0) return descriptor;
    DescriptorRegistry::instance().enter(number);
    descriptor.number_ = number;
    return descriptor;
  }

  /// Opens with `open()`, which returns a descriptor or -1 and errno.
  /// @throws std::system_error with `what`.
  template <class Open>
  static Descriptor open(const char* what, Open&& open) {
    DescriptorRegistry& registry = DescriptorRegistry::instance();
    const auto lock = registry.lock();
    registry.reserve(1);
    Descriptor descriptor = adopt(open());
    if (!descriptor) throw_errno(errno, what);
    return descriptor;
  }

  [[nodiscard]] int number() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }

  void reset() noexcept {
    if (number_ < 0) return;
    DescriptorRegistry& registry = DescriptorRegistry::instance();
    const auto lock = registry.lock();
    if (registry.leave(number_)) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

}  // namespace concurrent::detail::os
