// SPDX-License-Identifier: MIT
#pragma once

// What all executors have in common: the concept, and `map` for everything that can submit.
// Counterpart: concurrent.futures.Executor.

#include <concurrent/futures/detail/map_feeder.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/map_result.hpp>
#include <concurrent/futures/task_options.hpp>
#include <concurrent/futures/timeout.hpp>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace concurrent::futures {

/// Options of map.
struct MapOptions {
  /// For all results together, counted from the call of map.
  Timeout timeout{};
  /// Elements that travel together in one task; chosen by the library when not given (1 for up to
  /// 4,096 elements, or about 1,024 tasks at most). Elements of one chunk run one after the other,
  /// so they must not wait for each other.
  std::optional<std::size_t> chunksize{};
  /// At most this many tasks are submitted whose results have not been taken, and the ranges are
  /// read no further ahead. Without it everything is submitted before map returns.
  std::optional<std::size_t> buffersize{};
};

namespace detail {
struct ExecutorProbe {
  void operator()() const {}
};
}  // namespace detail

/// Something that runs callables and hands out their futures.
template <class E>
concept Executor = requires(E& executor) {
  { executor.submit(detail::ExecutorProbe{}) } -> std::same_as<Future<void>>;
  executor.shutdown(true, false);
};

/// Gives `map` to an executor of your own: `class Inline : public ExecutorInterface<Inline>` with a
/// `submit(fn, args...)` that returns a Future of what `fn(args...)` returns.
///
/// **Thread safety** As that of the executor's submit.
/// **Python** concurrent.futures.Executor, which is a base class with virtual functions.
template <class Derived>
class ExecutorInterface {
 public:
  /// Applies `fn` to the elements of the ranges, taken in step; the shortest range ends it. The
  /// results come in the order of the input, whatever finishes first.
  ///
  /// Everything is submitted before map returns, and elements are copied (moved out of an rvalue
  /// range is not done). A thread pool reads the elements of a view (std::span, std::string_view,
  /// std::views::iota, any borrowed random access range) of more than 4,096 elements where they
  /// lie, when their turn comes: they must stay until the results are there, or the result range is
  /// gone, which waits for that. With `.buffersize` the ranges are read while the results are
  /// taken: one given as an lvalue must outlive them, one given as an rvalue is kept; infinite
  /// ranges are welcome.
  ///
  /// An exception appears where its element is reached; iteration can go on behind it, and no other
  /// result is lost. A result range that was begun and is dropped cancels what has not started; one
  /// that was never begun cancels nothing.
  ///
  /// @throws std::invalid_argument for a chunksize or buffersize of 0; what submit throws.
  /// **Blocking** not at all here; taking results blocks as Future::result.
  /// **Complexity** one task a chunk.
  /// **Python** Executor.map. The chunk size is chosen (Python: 1, and threads ignore it); an
  /// exception costs its own element only, whatever the chunk size (so from Python 3.16 on).
  template <class Fn, class... Ranges>
  requires(!std::is_same_v<std::remove_cvref_t<Fn>, MapOptions>) auto map(Fn&& fn,
                                                                          Ranges&&... ranges) {
    return map(MapOptions{}, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...);
  }

  template <class Fn, class... Ranges>
  auto map(MapOptions options, Fn&& fn, Ranges&&... ranges) {
    static_assert(sizeof...(Ranges) > 0, "map needs at least one range");
    static_assert((detail::InputRange<Ranges> && ...),
                  "everything after map's callable must be a range");
    if constexpr (sizeof...(Ranges) > 0 && (detail::InputRange<Ranges> && ...)) {
      constexpr bool callable =
          std::is_invocable_v<std::decay_t<Fn>&, detail::element_t<Ranges>...>;
      static_assert(callable, "map's callable must accept one element of each range");
      if constexpr (callable) {
        using Source = detail::MapSource<std::decay_t<Fn>, std::remove_reference_t<Ranges>...>;
        return start(options, std::make_unique<typename Source::template Feeder<Derived>>(
                                  static_cast<Derived&>(*this), alive_, std::forward<Fn>(fn),
                                  std::forward<Ranges>(ranges)...));
      }
    }
  }

 protected:
  ExecutorInterface() = default;
  ExecutorInterface(const ExecutorInterface&) : ExecutorInterface() {}
  ExecutorInterface& operator=(const ExecutorInterface&) { return *this; }
  ~ExecutorInterface() { alive_->cut(); }

 private:
  template <class Feeder>
  static auto start(MapOptions options, std::unique_ptr<Feeder> feeder)
      -> MapResult<typename Feeder::Result>;

  detail::StateRef<detail::Lifeline> alive_{new detail::Lifeline};
};

// Implementation

template <class Derived>
template <class Feeder>
auto ExecutorInterface<Derived>::start(MapOptions options, std::unique_ptr<Feeder> feeder)
    -> MapResult<typename Feeder::Result> {
  if (options.chunksize == std::size_t{0}) {
    throw std::invalid_argument("chunksize must be >= 1.");
  }
  if (options.buffersize == std::size_t{0}) {
    throw std::invalid_argument("buffersize must be None or > 0");
  }
  return MapResult<typename Feeder::Result>(std::move(feeder), options.timeout.deadline(),
                                            options.chunksize.value_or(0),
                                            options.buffersize.value_or(0));
}

}  // namespace concurrent::futures
