// SPDX-License-Identifier: MIT
#pragma once

// Which callables cross a process boundary, and how. Counterpart: pickling a function by its name.

#include <concurrent/multiprocessing/serialization.hpp>
#include <type_traits>

namespace concurrent::multiprocessing {

namespace detail {

/// A lambda without captures, or a function object without members: made anew in the worker.
template <class F>
concept stateless_callable = std::is_class_v<F> && std::is_empty_v<F> &&
    (std::is_default_constructible_v<F> || std::is_trivially_copyable_v<F>);

/// A function object with members. A closure is never an aggregate, so lambdas that capture are not
/// among them: what they capture is meant to be passed as arguments.
template <class F>
concept serializable_callable = std::is_class_v<F> && !std::is_empty_v<F> &&
                                ((serialized_by_cereal<F> && std::is_default_constructible_v<F>) ||
                                 (plain_value<F> && std::is_aggregate_v<F>));

/// How a callable is written and read; specialised for those that wrap another callable.
template <class F>
struct CallableCodec {
  static constexpr bool crosses =
      code_pointer<F> || stateless_callable<F> || serializable_callable<F>;

  static void write(ByteBuffer& buffer, const F& callable) {
    if constexpr (!stateless_callable<F>) write_values(buffer, callable);
  }
  static F read(ByteReader& reader) {
    if constexpr (!stateless_callable<F>) {
      if constexpr (plain_value<F>) {
        return read_plain<F>(reader);
      } else {
        InputArchive archive(reader);
        return read_one<F>(reader, &archive);
      }
    } else if constexpr (std::is_default_constructible_v<F>) {
      return F();
    } else {
      return __builtin_bit_cast(F, ObjectBytes<F>{});
    }
  }
};

}  // namespace detail

/// A callable that can be sent to another process: a function pointer, a member pointer, a lambda
/// that captures nothing, a function object without members, or one whose members can be sent: an
/// aggregate without pointers, or a class with a `serialize`.
template <class F>
concept callable_can_cross_process_boundary = detail::CallableCodec<F>::crosses;

}  // namespace concurrent::multiprocessing
