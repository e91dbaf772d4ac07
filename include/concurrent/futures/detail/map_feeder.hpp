// SPDX-License-Identifier: MIT
#pragma once

// Where map's tasks come from: the ranges, read in step, cut into chunks and submitted.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/lifeline.hpp>
#include <concurrent/futures/detail/map_task.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::futures::detail {

template <class Range>
concept InputRange = requires(std::remove_reference_t<Range>& range) {
  {*std::begin(range)};
  {std::begin(range) != std::end(range)};
};

template <class Range>
using iterator_t = decltype(std::begin(std::declval<std::remove_reference_t<Range>&>()));
template <class Range>
using sentinel_t = decltype(std::end(std::declval<std::remove_reference_t<Range>&>()));
template <class Range>
using element_t = std::iter_value_t<iterator_t<Range>>;

/// One submitted task of a map: of a single element, or of a chunk.
template <class R>
struct MapTicket {
  Future<R> single = FutureAccess::adopt<R>(nullptr);
  Future<MapOutcomes<R>> chunk = FutureAccess::adopt<MapOutcomes<R>>(nullptr);
  std::size_t count = 0;  // elements
};

/// The untyped view that a result range has of where its tasks come from.
template <class R>
class MapFeederBase {
 public:
  MapFeederBase() = default;
  MapFeederBase(const MapFeederBase&) = delete;
  MapFeederBase& operator=(const MapFeederBase&) = delete;
  virtual ~MapFeederBase() = default;

  /// How many elements there will be, if that is known without reading them.
  [[nodiscard]] virtual std::optional<std::size_t> size() const = 0;
  /// Reads up to `count` elements and submits them as one task; false when nothing is left.
  virtual bool submit(std::size_t count, MapTicket<R>& ticket) = 0;
};

/// A range as map keeps it: one given as an rvalue is owned, one given as an lvalue referred to.
template <class Range>
class KeptRange {
 public:
  explicit KeptRange(Range& range) : range_(std::addressof(range)) {}
  explicit KeptRange(Range&& range) requires(!std::is_const_v<Range>)
      : owned_(std::make_unique<Range>(std::move(range))), range_(owned_.get()) {}

  Range& get() const { return *range_; }

 private:
  std::unique_ptr<std::remove_const_t<Range>> owned_;
  Range* range_;
};

template <class Range>
std::optional<std::size_t> size_of(Range& range) {
  if constexpr (requires { std::size(range); }) {
    return static_cast<std::size_t>(std::size(range));
  } else if constexpr (std::sized_sentinel_for<sentinel_t<Range>, iterator_t<Range>>) {
    return static_cast<std::size_t>(std::end(range) - std::begin(range));
  } else {
    return std::nullopt;
  }
}

/// The types that belong to one call of map.
template <class Fn, class... Ranges>
struct MapSource {
  using R = result_t<std::invoke_result_t<Fn&, element_t<Ranges>...>>;
  using Element = MapElement<Fn, R, element_t<Ranges>...>;
  using Chunk = MapChunk<Fn, R, element_t<Ranges>...>;

  template <class Executor>
  class Feeder final : public MapFeederBase<R> {
   public:
    using Result = R;

    template <class F, class... Given>
    Feeder(Executor& executor, StateRef<Lifeline> alive, F&& fn, Given&&... ranges)
        : executor_(executor),
          alive_(std::move(alive)),
          fn_(std::forward<F>(fn)),
          ranges_(KeptRange<Ranges>(std::forward<Given>(ranges))...),
          at_(std::apply([](auto&... kept) { return std::tuple(std::begin(kept.get())...); },
                         ranges_)),
          end_(std::apply([](auto&... kept) { return std::tuple(std::end(kept.get())...); },
                          ranges_)) {}

    [[nodiscard]] std::optional<std::size_t> size() const override {
      std::optional<std::size_t> least;
      bool known = true;
      const auto consider = [&](std::optional<std::size_t> size) {
        known = known && size.has_value();
        if (size && (!least || *size < *least)) least = size;
      };
      std::apply([&](auto&... kept) { (consider(size_of(kept.get())), ...); }, ranges_);
      return known ? least : std::nullopt;
    }

    bool submit(std::size_t count, MapTicket<R>& ticket) override {
      if (!has_element()) return false;
      if (!alive_->alive()) throw ShutdownError();
      ticket.count = 1;
      if (count == 1) {
        std::apply(
            [&](auto&... at) { ticket.single = executor_.submit(Element{fn_}, read(at)...); }, at_);
        return true;
      }
      std::vector<std::tuple<element_t<Ranges>...>> elements;
      if (const auto total = size()) elements.reserve(count < *total ? count : *total);
      do {
        std::apply([&](auto&... at) { elements.emplace_back(read(at)...); }, at_);
      } while (elements.size() < count && has_element());
      ticket.count = elements.size();
      ticket.chunk = executor_.submit(Chunk{fn_}, std::move(elements));
      return true;
    }

   private:
    [[nodiscard]] bool has_element() const {
      return has_element(std::index_sequence_for<Ranges...>{});
    }
    template <std::size_t... I>
    [[nodiscard]] bool has_element(std::index_sequence<I...>) const {
      return ((std::get<I>(at_) != std::get<I>(end_)) && ...);
    }
    template <class Iterator>
    static std::iter_value_t<Iterator> read(Iterator& at) {
      std::iter_value_t<Iterator> element(*at);
      ++at;
      return element;
    }

    Executor& executor_;
    StateRef<Lifeline> alive_;
    Fn fn_;
    std::tuple<KeptRange<Ranges>...> ranges_;
    std::tuple<iterator_t<Ranges>...> at_;
    std::tuple<sentinel_t<Ranges>...> end_;
  };
};

}  // namespace concurrent::futures::detail
