// SPDX-License-Identifier: MIT
#pragma once

// Memory that processes share by a descriptor, without a name in any file system.
// Counterpart: multiprocessing.shared_memory, which has names.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <concurrent/detail/os/descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace concurrent::detail::os {

/// `size` bytes of zeros whose pages are there already, so that no later access can find the memory
/// used up, and whose size nobody can change. @throws std::system_error
inline Descriptor make_shared_memory(std::size_t size) {
  Descriptor memory = Descriptor::open("cannot make shared memory", [] {
    return ::memfd_create("concurrent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  });
  int error = 0;
  do {
    error = ::posix_fallocate(memory.number(), 0, static_cast<off_t>(size));
  } while (error == EINTR);
  if (error != 0) throw_errno(error, "cannot reserve shared memory");
  if (::fcntl(memory.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    throw_errno(errno, "cannot fix the size of shared memory");
  }
  return memory;
}

/// `size` bytes of zeros whose pages come when they are written to. Empty where there are none.
inline Descriptor make_sparse_memory(std::size_t size) noexcept {
  rlimit limit{};  // beyond it, ftruncate would send a signal
  if (size == 0 || ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < size) return {};
  try {
    Descriptor memory = Descriptor::open("cannot make shared memory", [] {
      return ::memfd_create("concurrent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    });
    if (::ftruncate(memory.number(), static_cast<off_t>(size)) != 0 ||
        ::fcntl(memory.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      memory.reset();
    }
    return memory;
  } catch (...) {
    return {};
  }
}

/// Whether the system counts memory that nobody has touched (vm.overcommit_memory = 2).
inline bool addresses_are_memory() noexcept {
  static const bool strict = [] {
    const int setting = ::open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    if (setting < 0) return false;
    char mode = '0';
    const bool known = ::read(setting, &mode, 1) == 1;
    ::close(setting);
    return known && mode == '2';
  }();
  return strict;
}

/// Maps memory that is shared, and enters it in the registry. Null, and errno: the system refuses.
/// @throws std::bad_alloc
inline std::byte* map_shared(std::size_t size, int flags, int descriptor) {
  DescriptorRegistry& registry = DescriptorRegistry::instance();
  const auto lock = registry.lock();
  registry.reserve_mappings(1);
  void* const begin =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, descriptor, 0);
  if (begin == MAP_FAILED) return nullptr;
  registry.enter_mapping(begin, size);
  return static_cast<std::byte*>(begin);
}
inline void unmap_shared(std::byte* begin, std::size_t size) noexcept {
  DescriptorRegistry& registry = DescriptorRegistry::instance();
  const auto lock = registry.lock();
  if (registry.leave_mapping(begin)) ::munmap(begin, size);
}

/// Owns a mapping of shared memory; the descriptor may be closed.
class SharedMapping {
 public:
  SharedMapping() = default;
  /// @throws std::system_error
  SharedMapping(const Descriptor& memory, std::size_t size) : size_(size) {
    begin_ = map_shared(size, 0, memory.number());
    if (begin_ == nullptr) throw_errno(errno, "cannot map shared memory");
  }
  SharedMapping(SharedMapping&& other) noexcept
      : begin_(std::exchange(other.begin_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SharedMapping& operator=(SharedMapping&& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SharedMapping() {
    if (begin_ != nullptr) unmap_shared(begin_, size_);
  }

  [[nodiscard]] std::byte* begin() const noexcept { return begin_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;
};

/// Tells a process from the children that it forks without asking the system: they find the mark
/// wiped.
///
/// The marks share a page, which is made once and inherited: so a process that is forked has room
/// for its own without a call.
class ProcessMark {
 public:
  ProcessMark() noexcept : mark_(MarkPage::instance().take()) {
    if (mark_ != nullptr) {
      *mark_ = 1;
    } else {
      pid_ = ::getpid();
    }
  }
  ProcessMark(const ProcessMark&) = delete;
  ProcessMark& operator=(const ProcessMark&) = delete;
  ~ProcessMark() {
    if (mark_ != nullptr) MarkPage::instance().give_back(mark_);
  }

  [[nodiscard]] bool is_here() const noexcept {
    return mark_ != nullptr ? *mark_ != 0 : ::getpid() == pid_;
  }

 private:
  /// **Thread safety** take and give_back. What is taken is known in each process by itself: a
  /// child leaves alone what its parent had taken.
  class MarkPage {
   public:
    static MarkPage& instance() noexcept {
      static MarkPage page;  // trivially destroyed: static pools use it
      return page;
    }
    /// Null: all are taken, or the system has no such pages.
    volatile int* take() noexcept {
      if (marks_ == nullptr) return nullptr;
      for (std::size_t word = 0; word < taken_.size(); ++word) {
        // relaxed: failing the exchange is a better look
        std::uint64_t seen = taken_[word].load(std::memory_order_relaxed);
        while (~seen != 0) {
          const auto bit = static_cast<std::size_t>(std::countr_one(seen));
          // acquire: pairs with give_back's release, whose thread has used the mark before
          if (taken_[word].compare_exchange_weak(seen, seen | std::uint64_t{1} << bit,
                                                 std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
            return marks_ + word * 64 + bit;
          }
        }
      }
      return nullptr;
    }
    void give_back(volatile int* mark) noexcept {
      const auto index = static_cast<std::size_t>(mark - marks_);
      // release: see take
      taken_[index / 64].fetch_and(~(std::uint64_t{1} << index % 64), std::memory_order_release);
    }

   private:
    MarkPage() noexcept {
      void* const page =
          ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (page == MAP_FAILED) return;
      if (::madvise(page, size, MADV_WIPEONFORK) != 0) {
        ::munmap(page, size);
        return;
      }
      marks_ = static_cast<volatile int*>(page);
    }

    static constexpr std::size_t size = 4096;

    volatile int* marks_ = nullptr;
    std::array<std::atomic<std::uint64_t>, size / sizeof(int) / 64> taken_{};
  };

  volatile int* mark_;
  pid_t pid_ = 0;  // where there is no mark
};

}  // namespace concurrent::detail::os
