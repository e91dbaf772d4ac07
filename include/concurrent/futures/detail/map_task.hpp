// SPDX-License-Identifier: MIT
#pragma once

// What a map submits: the user's callable on one element, or on a chunk of them.

#include <concurrent/futures/detail/state.hpp>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::futures::detail {

/// What one element of a chunk came to: a value or an exception.
template <class R>
struct MapOutcome {
  std::optional<typename State<R>::Stored> value{};
  std::exception_ptr error{};
};

template <class R>
using MapOutcomes = std::vector<MapOutcome<R>>;

/// The callable on one element. As stateless as the callable.
template <class Fn, class R, class... Elements>
struct MapElement {
  [[no_unique_address]] Fn fn;

  R operator()(Elements... elements) {
    return std::apply(fn, std::forward_as_tuple(std::forward<Elements>(elements)...));
  }
};

/// The callable on a chunk of elements; what it throws stays with its element.
template <class Fn, class R, class... Elements>
struct MapChunk {
  [[no_unique_address]] Fn fn;

  MapOutcomes<R> operator()(std::vector<std::tuple<Elements...>> elements) {
    MapOutcomes<R> outcomes(elements.size());
    auto* outcome = outcomes.data();
    for (auto& element : elements) run(std::move(element), *outcome++);
    return outcomes;
  }

 private:
  void run(std::tuple<Elements...>&& element, MapOutcome<R>& outcome) {
    try {
      if constexpr (std::is_void_v<R>) {
        std::apply(fn, std::move(element));
        outcome.value.emplace();
      } else if constexpr (std::is_reference_v<R>) {
        outcome.value.emplace(std::addressof(std::apply(fn, std::move(element))));
      } else {
        outcome.value.emplace(std::apply(fn, std::move(element)));
      }
    } catch (...) {
      outcome.error = std::current_exception();
    }
  }
};

}  // namespace concurrent::futures::detail
