// SPDX-License-Identifier: MIT
#pragma once

// How a callable and the arguments given to a process pool's submit fit together, and the checks in
// plain words of what cannot cross.

#include <concurrent/futures/detail/call.hpp>
#include <concurrent/futures/detail/process/dependent_call.hpp>
#include <concurrent/futures/detail/process/remote_call.hpp>
#include <tuple>
#include <type_traits>

namespace concurrent::futures::detail::process {

template <class F, class... Args>
inline constexpr bool calls_directly = std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>;

template <class F, class Tuple>
struct CallOn;
template <class F, class... Values>
struct CallOn<F, std::tuple<Values...>> {
  static constexpr bool invocable = std::is_invocable_v<F, Values...>;
  static consteval bool arguments_cross() { return (check_argument<Values>() && ...); }
};

/// The call fits when futures are replaced by their values, and only then.
template <class F, class... Args>
inline constexpr bool calls_with_values =
    !calls_directly<F, Args...> && (is_future<std::decay_t<Args>> || ...) &&
    CallOn<std::decay_t<F>, values_of_t<std::decay_t<Args>...>>::invocable;

template <class F, class Tuple>
struct ResultOn;
template <class F, class... Values>
struct ResultOn<F, std::tuple<Values...>> {
  using type = result_t<std::invoke_result_t<F, Values...>>;
};

template <class F, class... Args>
struct RemoteResult {
  using type = void;  // the checks say it in words
};
template <class F, class... Args>
requires calls_directly<F, Args...>
struct RemoteResult<F, Args...> : ResultOn<std::decay_t<F>, std::tuple<std::decay_t<Args>...>> {
};
template <class F, class... Args>
requires calls_with_values<F, Args...>
struct RemoteResult<F, Args...> : ResultOn<std::decay_t<F>, values_of_t<std::decay_t<Args>...>> {
};

template <class F, class... Args>
using call_result_t = typename RemoteResult<F, Args...>::type;

/// Says in one line each what keeps the call from being sent; true when nothing does.
template <class F, class... Args>
consteval bool check_call() {
  constexpr bool fits = calls_directly<F, Args...> || calls_with_values<F, Args...>;
  static_assert(fits,
                "a stop token does not reach another process: the callable must accept the "
                "arguments without a std::stop_token in front");
  if constexpr (fits) {
    const bool callable = check_callable<std::decay_t<F>>();
    const bool result = check_result<call_result_t<F, Args...>>();
    if constexpr (calls_with_values<F, Args...>) {
      return callable && result &&
             CallOn<std::decay_t<F>, values_of_t<std::decay_t<Args>...>>::arguments_cross();
    } else {
      return callable && result &&
             CallOn<std::decay_t<F>, std::tuple<std::decay_t<Args>...>>::arguments_cross();
    }
  } else {
    return false;
  }
}

}  // namespace concurrent::futures::detail::process
