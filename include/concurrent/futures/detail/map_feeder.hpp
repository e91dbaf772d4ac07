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
  /// Where the tasks look for the map's destination; null where they do not.
  [[nodiscard]] virtual MapDestinationRef<R> destination() const { return {}; }
  /// Into how many chunks a long input is cut, so that workers finish at about the same time.
  [[nodiscard]] virtual std::size_t enough_chunks() const { return most_chunks; }
  static constexpr std::size_t most_chunks = 1024;
  /// Whether chunks read their elements from the ranges when they run.
  [[nodiscard]] virtual bool reads_in_place() const { return false; }
  /// By the constructor of the result range, for what it has submitted.
  virtual void submitted(std::size_t tasks) = 0;
};

/// An executor whose tasks run in this process, so that they can read a view where it lies.
template <class Executor>
concept runs_in_this_process = requires {
  requires Executor::runs_in_this_process;
};

/// What map says to the executors of this library that take it: so many tasks were submitted in one
/// go, each of which is worth a worker.
struct MapSubmitted {
  std::size_t tasks = 0;
};

/// A range whose iterators are good without it, at any place.
template <class Range>
concept BorrowedSequence = std::ranges::enable_borrowed_range<std::remove_const_t<Range>> &&
    std::random_access_iterator<iterator_t<Range>> &&
    std::sized_sentinel_for<sentinel_t<Range>, iterator_t<Range>>;

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

/// Reads up to `count` elements.
template <class Iterator, class Sentinel>
auto read_elements(Iterator& at, const Sentinel& end, std::size_t count) {
  std::vector<std::iter_value_t<Iterator>> elements;
  if constexpr (std::random_access_iterator<Iterator> &&
                std::sized_sentinel_for<Sentinel, Iterator>) {
    static_cast<void>(end);  // the caller knows that there are as many
    const Iterator behind = at + static_cast<std::iter_difference_t<Iterator>>(count);
    elements.assign(at, behind);
    at = behind;
  } else {
    for (; elements.size() < count && at != end; ++at) elements.emplace_back(*at);
  }
  return elements;
}

/// The types that belong to one call of map.
template <class Fn, class... Ranges>
struct MapSource {
  using R = result_t<std::invoke_result_t<Fn&, element_t<Ranges>...>>;
  using Element = MapElement<Fn, R, element_t<Ranges>...>;
  using Chunk = MapChunk<Fn, R, element_t<Ranges>...>;
  using Slice = MapSlice<Fn, R, iterator_t<Ranges>...>;

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
      if (count == 1) {
        ticket.count = 1;
        std::apply(
            [&](auto&... at) { ticket.single = executor_.submit(Element{fn_}, read(at)...); }, at_);
      } else {
        submit_chunk(count, ticket, std::index_sequence_for<Ranges...>{});
      }
      submitted_ += ticket.count;
      return true;
    }

    [[nodiscard]] MapDestinationRef<R> destination() const override { return destination_; }
    [[nodiscard]] std::size_t enough_chunks() const override {
      constexpr std::size_t for_each_worker = 64;
      constexpr std::size_t most = MapFeederBase<R>::most_chunks;
      if constexpr (in_place && requires { executor_.max_workers(); }) {
        const std::size_t workers = executor_.max_workers();
        return workers < most / for_each_worker ? for_each_worker * workers : most;
      }
      return most;
    }
    [[nodiscard]] bool reads_in_place() const override { return in_place; }
    void submitted(std::size_t tasks) override {
      if constexpr (in_place && requires { executor_.rouse(MapSubmitted{tasks}); }) {
        executor_.rouse(MapSubmitted{tasks});
      }
    }

   private:
    static constexpr bool in_place =
        runs_in_this_process<Executor> && (BorrowedSequence<Ranges> && ...);
    static constexpr bool knows_what_is_left =
        ((std::random_access_iterator<iterator_t<Ranges>> &&
          std::sized_sentinel_for<sentinel_t<Ranges>, iterator_t<Ranges>>)&&...);

    static MapDestinationRef<R> make_destination() {
      if constexpr (can_be_delivered<R> && in_place) {
        return MapDestinationRef<R>(new MapDestination<R>);
      } else {
        return {};
      }
    }

    template <std::size_t... I>
    void submit_chunk(std::size_t count, MapTicket<R>& ticket, std::index_sequence<I...>) {
      if constexpr (knows_what_is_left) {
        const auto limit = [&count](auto left) {
          if (static_cast<std::size_t>(left) < count) count = static_cast<std::size_t>(left);
        };
        (limit(std::get<I>(end_) - std::get<I>(at_)), ...);
      }
      if constexpr (in_place) {
        ticket.chunk = executor_.submit(Slice{fn_, destination_, submitted_}, count,
                                        iterator_t<Ranges>(std::get<I>(at_))...);
        ticket.count = count;
        ((std::get<I>(at_) += static_cast<std::iter_difference_t<iterator_t<Ranges>>>(count)), ...);
      } else if constexpr (knows_what_is_left || sizeof...(Ranges) == 1) {
        std::tuple<std::vector<element_t<Ranges>>...> elements{
            read_elements(std::get<I>(at_), std::get<I>(end_), count)...};
        ticket.count = std::get<0>(elements).size();
        ticket.chunk = executor_.submit(Chunk{fn_}, std::move(std::get<I>(elements))...);
      } else {
        std::tuple<std::vector<element_t<Ranges>>...> elements;
        do {
          (std::get<I>(elements).push_back(read(std::get<I>(at_))), ...);
        } while (++ticket.count < count && has_element());
        ticket.chunk = executor_.submit(Chunk{fn_}, std::move(std::get<I>(elements))...);
      }
    }

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
    std::size_t submitted_ = 0;  // elements
    MapDestinationRef<R> destination_ = make_destination();
  };
};

}  // namespace concurrent::futures::detail
