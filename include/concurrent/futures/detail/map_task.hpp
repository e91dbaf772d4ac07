// SPDX-License-Identifier: MIT
#pragma once

// What a map submits: the user's callable on one element, or on a chunk of them.

#include <atomic>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <cstddef>
#include <exception>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::futures::detail {

/// Room for up to `capacity` values, of which the first `size` exist. Not a std::vector, so that a
/// loop that fills it can be vectorised, and bools are bools.
template <class T>
class MapValues {
 public:
  MapValues() = default;
  explicit MapValues(std::size_t capacity)
      : data_(std::allocator<T>().allocate(capacity)), capacity_(capacity) {}
  MapValues(MapValues&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  MapValues& operator=(MapValues other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~MapValues() {
    for (std::size_t i = 0; i < size_; ++i) std::destroy_at(data_ + i);
    if (data_ != nullptr) std::allocator<T>().deallocate(data_, capacity_);
  }

  [[nodiscard]] T* begin() const noexcept { return data_; }
  [[nodiscard]] T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Says how many values exist by now.
  void set_size(std::size_t size) noexcept { size_ = size; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// What the call on one element of a chunk threw.
struct MapError {
  std::size_t index = 0;  // in the chunk
  std::exception_ptr error{};
};

/// What the elements of a chunk came to: the values of those that succeeded, one behind the other,
/// and the exceptions of the others, by index.
template <class R>
struct MapOutcomes {
  MapValues<typename State<R>::Stored> values{};
  std::vector<MapError> errors{};
  bool delivered = false;  // the values lie in the map's destination
};

/// What takes values of type `T` from its begin on.
template <class Out, class T>
concept Takes = requires(Out& out, T& value) {
  *std::begin(out) = std::move(value);
};

/// Whether results of a map can be written where they are wanted, into raw memory too, by whoever
/// computes them: a copy of their bytes is a copy of them.
template <class R>
inline constexpr bool can_be_delivered =
    std::is_object_v<R>&& std::is_trivially_copyable_v<R>&& std::is_trivially_destructible_v<R> &&
    !std::is_const_v<R> && std::is_trivially_copy_constructible_v<R> &&
    std::is_trivially_copy_assignable_v<R> && std::is_trivially_move_assignable_v<R>;

/// Where a map's results go if that is known before they are there (MapResult::move_to, to_vector).
/// Counted by intrusive references (StateRef).
///
/// release/acquire: a task that sees the destination sees its memory as it was when it was set.
/// Who sets it waits for all tasks before it gives the memory back.
template <class R>
class MapDestination {
 public:
  void set(R* first) noexcept { first_.store(first, std::memory_order_release); }
  [[nodiscard]] R* get() const noexcept { return first_.load(std::memory_order_acquire); }
  /// The same for a chunk that is about to begin. Who is to set it may be behind this thread on the
  /// same processor, so the first ones let others go before, unless nobody will set it.
  [[nodiscard]] R* get_or_yield() noexcept {
    R* const first = get();
    // relaxed: a few more or less do not matter
    if (first != nullptr || yields_left_.load(std::memory_order_relaxed) <= 0) return first;
    yields_left_.fetch_sub(1, std::memory_order_relaxed);
    std::this_thread::yield();
    return get();
  }
  // relaxed: likewise
  void will_not_be_set() noexcept { yields_left_.store(0, std::memory_order_relaxed); }

  void add_reference() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // acq_rel: the last owner deletes what the others have used
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  std::atomic<R*> first_{nullptr};
  std::atomic<int> yields_left_{8};
  std::atomic<std::size_t> owners_{1};
};

struct NoDestination {};

template <class R>
using MapDestinationRef =
    std::conditional_t<can_be_delivered<R>, StateRef<MapDestination<R>>, NoDestination>;

/// Calls `element(i)` for each i below `count`; what one throws stays with it.
template <class R, class Element>
MapOutcomes<R> map_outcomes(std::size_t count, const Element& element) {
  using Stored = typename State<R>::Stored;
  MapOutcomes<R> outcomes{MapValues<Stored>(count)};
  std::size_t i = 0;
  while (i < count) {
    // Values lie without gaps. The loop keeps nothing but i, so that it can be vectorised.
    Stored* const values = outcomes.values.begin() - outcomes.errors.size();
    try {
      for (; i < count; ++i) {
        if constexpr (std::is_void_v<R>) {
          element(i);
          std::construct_at(values + i);
        } else if constexpr (std::is_reference_v<R>) {
          std::construct_at(values + i, std::addressof(element(i)));
        } else {
          std::construct_at(values + i, element(i));
        }
      }
      outcomes.values.set_size(i - outcomes.errors.size());
    } catch (...) {
      outcomes.values.set_size(i - outcomes.errors.size());
      outcomes.errors.push_back({i, std::current_exception()});
      ++i;
    }
  }
  return outcomes;
}

/// The same, with the values written to `out[i]`.
template <class R, class Element>
MapOutcomes<R> deliver_outcomes(std::size_t count, R* out, const Element& element) {
  MapOutcomes<R> outcomes;
  outcomes.delivered = true;
  std::size_t i = 0;
  while (i < count) {
    try {
      for (; i < count; ++i) out[i] = element(i);
    } catch (...) {
      outcomes.errors.push_back({i, std::current_exception()});
      ++i;
    }
  }
  return outcomes;
}

/// The callable on one element. As stateless as the callable.
template <class Fn, class R, class... Elements>
struct MapElement {
  [[no_unique_address]] Fn fn;

  // By value, since a user's executor may call it with what it stored.
  R operator()(Elements... elements) {  // NOLINT(performance-unnecessary-value-param)
    return std::apply(fn, std::forward_as_tuple(std::forward<Elements>(elements)...));
  }
};

/// The callable on a chunk of elements that were read before. As stateless as the callable.
template <class Fn, class R, class... Elements>
struct MapChunk {
  [[no_unique_address]] Fn fn;

  MapOutcomes<R> operator()(std::vector<Elements>... elements) {
    const std::size_t count = std::get<0>(std::forward_as_tuple(elements...)).size();
    return map_outcomes<R>(count, [&](std::size_t i) -> decltype(auto) {
      return std::apply(fn, std::forward_as_tuple(Elements(std::move(elements[i]))...));
    });
  }
};

/// The callable on a chunk of elements that are read where they lie.
template <class Fn, class R, class... Iterators>
struct MapSlice {
  [[no_unique_address]] Fn fn;
  [[no_unique_address]] MapDestinationRef<R> destination;
  std::size_t offset;  // of the chunk in the map

  MapOutcomes<R> operator()(std::size_t count, const Iterators&... at) {
    const auto element = [&](std::size_t i) -> decltype(auto) {
      return std::apply(fn, std::forward_as_tuple(std::iter_value_t<Iterators>(
                                at[static_cast<std::iter_difference_t<Iterators>>(i)])...));
    };
    if constexpr (can_be_delivered<R>) {
      if (R* const out = destination->get_or_yield(); out != nullptr) {
        return deliver_outcomes<R>(count, out + offset, element);
      }
    }
    return map_outcomes<R>(count, element);
  }
};

}  // namespace concurrent::futures::detail
