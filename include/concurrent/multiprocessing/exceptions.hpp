// SPDX-License-Identifier: MIT
#pragma once

// Exceptions that cross process boundaries: which keep their type, and what becomes of the others.
// Counterpart: how concurrent.futures.process pickles exceptions, with _RemoteTraceback.

#include <concurrent/multiprocessing/detail/exception_codec.hpp>
#include <concurrent/multiprocessing/detail/remote_origin.hpp>
#include <concurrent/multiprocessing/remote_error.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <exception>
#include <string>
#include <type_traits>

namespace concurrent::multiprocessing {

/// Lets exceptions of exactly the type E cross process boundaries as themselves. The standard's
/// exceptions and this library's do so anyway; others come back as RemoteError.
///
/// E crosses by its own `serialize` if it has one (and then needs a default constructor), else by
/// its message, when it has a constructor from std::string and derives from std::exception.
/// @pre Called before the pool is made whose tasks throw it; a worker knows what its parent knew.
/// With StartMethod::spawn, called in static initialisation, or in main before freeze_support.
/// Calling it again does nothing.
///
/// **Thread safety** May be called at any time from any thread. **Blocking** never.
/// **Example** `inline const bool known = register_exception<ParseError>();`
template <class E>
bool register_exception() noexcept {
  static_assert(std::is_class_v<E>, "only exceptions of class type can be registered");
  constexpr bool by_value = detail::Crosses<E>::value;
  constexpr bool by_message =
      std::is_base_of_v<std::exception, E> && std::is_constructible_v<E, std::string>;
  static_assert(by_value || by_message,
                "to cross a process boundary, an exception type needs a serialize() and a default "
                "constructor, or a constructor that takes its message as std::string");
  if constexpr (by_value) {
    detail::ExceptionRegistry::add<detail::ExceptionByValue<E>>();
  } else if constexpr (by_message) {
    detail::ExceptionRegistry::add<detail::ExceptionByMessage<E>>();
  }
  return true;
}

}  // namespace concurrent::multiprocessing
