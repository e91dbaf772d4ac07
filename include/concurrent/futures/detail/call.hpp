// SPDX-License-Identifier: MIT
#pragma once

// How a callable and the arguments given to submit fit together: as they are, with a stop token in
// front, or with futures replaced by their values.

#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

namespace concurrent::futures::detail {

#if defined(__cpp_lib_jthread)
inline constexpr bool has_stop_tokens = true;
using StopToken = std::stop_token;
using StopSource = std::stop_source;
#else
// libc++ before 20 has them with -fexperimental-library only. Without, no callable takes one.
inline constexpr bool has_stop_tokens = false;
struct StopToken {};
struct StopSource {
  static StopToken get_token() noexcept { return {}; }
  static bool request_stop() noexcept { return false; }
  static bool stop_requested() noexcept { return false; }
};
#endif

/// The arguments that one submitted argument becomes when futures are replaced by their values: a
/// future given as an lvalue lends its value, one given as an rvalue gives it away, and one of void
/// contributes nothing. Anything else is passed on as an rvalue of its copy.
template <class Arg, class Decayed = std::decay_t<Arg>>
struct Unwrapped {
  using type = std::tuple<Decayed&&>;
};
template <class Arg, class T>
struct Unwrapped<Arg, Future<T>> {
  using type = std::tuple<std::conditional_t<std::is_lvalue_reference_v<Arg>, lent_t<T>,
                                             std::add_rvalue_reference_t<T>>>;
};
template <class Arg>
struct Unwrapped<Arg, Future<void>> {
  using type = std::tuple<>;
};

template <class... Args>
using unwrapped_t = decltype(std::tuple_cat(std::declval<typename Unwrapped<Args>::type>()...));

template <class F, class Tuple>
struct InvokeWith;
template <class F, class... Args>
struct InvokeWith<F, std::tuple<Args...>> {
  static constexpr bool plain = std::is_invocable_v<F, Args...>;
  static constexpr bool stop = has_stop_tokens && std::is_invocable_v<F, StopToken, Args...>;
};

enum class CallKind { none, plain, stop, unwrapped, unwrapped_stop };

template <class F, class... Args>
constexpr CallKind call_kind() {
  using Direct = InvokeWith<std::decay_t<F>, std::tuple<std::decay_t<Args>...>>;
  if constexpr (Direct::stop) {
    return CallKind::stop;
  } else if constexpr (Direct::plain) {
    return CallKind::plain;
  } else if constexpr ((is_future<std::decay_t<Args>> || ...)) {
    using Values = InvokeWith<std::decay_t<F>, unwrapped_t<Args...>>;
    if constexpr (Values::stop) {
      return CallKind::unwrapped_stop;
    } else if constexpr (Values::plain) {
      return CallKind::unwrapped;
    } else {
      return CallKind::none;
    }
  } else {
    return CallKind::none;
  }
}

template <class F, class Tuple>
struct ResultWith;
template <class F, class... Args>
struct ResultWith<F, std::tuple<Args...>> {
  using type = result_t<std::invoke_result_t<F, Args...>>;
};

template <CallKind Kind, class F, class... Args>
struct CallResult {
  using type = void;  // none: the constraint says it in words
};
template <class F, class... Args>
struct CallResult<CallKind::plain, F, Args...>
    : ResultWith<std::decay_t<F>, std::tuple<std::decay_t<Args>...>> {};
template <class F, class... Args>
struct CallResult<CallKind::stop, F, Args...>
    : ResultWith<std::decay_t<F>, std::tuple<StopToken, std::decay_t<Args>...>> {};
template <class F, class... Args>
struct CallResult<CallKind::unwrapped, F, Args...>
    : ResultWith<std::decay_t<F>, unwrapped_t<Args...>> {};
template <class F, class... Args>
struct CallResult<CallKind::unwrapped_stop, F, Args...>
    : ResultWith<std::decay_t<F>, decltype(std::tuple_cat(std::declval<std::tuple<StopToken>>(),
                                                          std::declval<unwrapped_t<Args...>>()))> {
};

template <class F, class... Args>
using call_result_t = typename CallResult<call_kind<F, Args...>(), F, Args...>::type;

}  // namespace concurrent::futures::detail

namespace concurrent::futures {

/// `fn(args...)` compiles with copies of the callable and the arguments, passed as rvalues, as
/// std::thread does; or `fn(std::stop_token, args...)`; or either with futures among the arguments
/// replaced by their values. Use std::ref to pass a reference.
template <class F, class... Args>
concept callable_with_copies = detail::call_kind<F, Args...>()
!= detail::CallKind::none&& std::is_constructible_v<std::decay_t<F>, F> &&
    (std::is_constructible_v<std::decay_t<Args>, Args> && ...);

}  // namespace concurrent::futures
