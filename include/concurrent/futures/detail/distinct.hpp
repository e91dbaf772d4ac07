// SPDX-License-Identifier: MIT
#pragma once

// The futures of a range, each once, in the order given.

#include <concurrent/detail/os/huge_pages.hpp>
#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace concurrent::futures::detail {

namespace os = concurrent::detail::os;

/// A set of addresses, open-addressed, sized once.
class AddressSet {
 public:
  explicit AddressSet(std::size_t count) {
    std::size_t capacity = 16;
    while (capacity < 2 * count) {
      capacity *= 2;
      --shift_;
    }
    os::reserve_for_filling(slots_, capacity);
    slots_.resize(capacity);
  }

  /// True if it was not there yet.
  bool insert(const void* address) {
    const std::uint64_t spread =
        static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(address)) *
        0x9E3779B97F4A7C15U;  // Fibonacci hashing
    for (std::size_t at = spread >> shift_;; ++at) {
      const void*& slot = slots_[at & (slots_.size() - 1)];
      if (slot == address) return false;
      if (slot == nullptr) {
        slot = address;
        return true;
      }
    }
  }

 private:
  unsigned shift_ = 60;  // 64 minus the logarithm of the capacity
  std::vector<const void*> slots_;
};

/// Whether addresses only rise or only fall, as they do when allocated in a row: then none is
/// twice.
template <class T>
bool monotone(const std::vector<Future<T>>& futures) {
  bool rising = true;
  bool falling = true;
  for (std::size_t i = 1; i < futures.size() && (rising || falling); ++i) {
    const auto before = reinterpret_cast<std::uintptr_t>(FutureAccess::peek(futures[i - 1]));
    const auto here = reinterpret_cast<std::uintptr_t>(FutureAccess::peek(futures[i]));
    rising = rising && before < here;
    falling = falling && before > here;
  }
  return rising || falling;
}

/// @throws InvalidStateError for a future that was moved from.
template <class T, class Range>
std::vector<Future<T>> distinct_futures(Range& range) {
  std::vector<Future<T>> futures;
  if constexpr (requires { range.size(); }) {
    os::reserve_for_filling(futures, static_cast<std::size_t>(range.size()));
  }
  for (auto&& future : range) {
    FutureAccess::state(future);
    futures.push_back(future);
  }
  if (monotone(futures)) return futures;
  AddressSet seen(futures.size());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (!seen.insert(FutureAccess::peek(futures[i]))) continue;
    if (kept != i) futures[kept] = std::move(futures[i]);
    ++kept;
  }
  futures.erase(futures.begin() + static_cast<std::ptrdiff_t>(kept), futures.end());
  return futures;
}

}  // namespace concurrent::futures::detail
