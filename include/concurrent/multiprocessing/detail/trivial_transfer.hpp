// SPDX-License-Identifier: MIT
#pragma once

// Which types cross a process boundary as a plain copy of their bytes.
// No counterpart in Python, where everything is pickled.

#include <chrono>
#include <complex>
#include <cstddef>
#include <type_traits>

namespace concurrent::multiprocessing {

namespace detail {

template <class T>
struct ObjectBytes {
  unsigned char bytes[sizeof(T)];
};

// A std::bit_cast is a constant expression only where no member, however deep and private, is a
// pointer, a reference, a pointer to member or a union. That is the question we have. It says no
// to optional and variant too (unions), and on clang to bit-fields.
template <class T>
concept bits_are_constant = requires {
  typename std::bool_constant<((void)__builtin_bit_cast(T, ObjectBytes<T>{}), true)>;
};

// The compiler cannot evaluate a class none of whose constructors is constexpr, so it sees nothing
// in it. g++ says no to bits_are_constant then, clang decides.
template <class T>
concept opaque_to_the_compiler = !__is_literal_type(T);

template <class T>
inline constexpr bool is_known_value = false;
template <class T>
inline constexpr bool is_known_value<std::complex<T>> = std::is_arithmetic_v<T>;
template <class Rep, class Period>
inline constexpr bool is_known_value<std::chrono::duration<Rep, Period>> =
    std::is_arithmetic_v<Rep>;
template <class Clock, class Duration>
inline constexpr bool is_known_value<std::chrono::time_point<Clock, Duration>> =
    is_known_value<Duration>;

template <class T>
inline constexpr bool has_opaque_members = false;
#if defined(__GNUC__) && !defined(__clang__)
template <class T>
requires(opaque_to_the_compiler<T>&& std::is_copy_assignable_v<T>)  // no reference in it
    inline constexpr bool has_opaque_members<T> = true;
#endif

/// True for a class whose members, as far as the compiler sees them, are values.
template <class T>
consteval bool holds_only_values() {
  if constexpr (is_known_value<T>) {
    return true;
  } else if constexpr (!std::is_class_v<T> || !std::is_trivially_copyable_v<T> ||
                       !std::is_move_constructible_v<T>) {
    return false;
  } else if constexpr (std::is_empty_v<T> || has_opaque_members<T>) {
    return true;
  } else {
    return bits_are_constant<T>;
  }
}

}  // namespace detail

/// Whether objects of the class T cross a process boundary as a copy of their bytes.
///
/// By default it holds for trivially copyable classes in which the compiler finds no pointer,
/// reference, view or union, however deep and private. Specialise it for a class of your own
/// - as `true` where the default says no and the bytes are all there is (a union, and on clang a
///   bit-field; a stateful function object that may be submitted), or
/// - as `false` where the default says yes and the bytes mean nothing elsewhere (an index into a
///   table of this process).
/// g++ does not look into arrays of pointers, nor into classes without a constexpr constructor.
///
/// **Example**
/// ```cpp
/// template <>
/// inline constexpr bool concurrent::multiprocessing::enable_trivial_transfer<Celsius> = true;
/// ```
template <class T>
inline constexpr bool enable_trivial_transfer = detail::holds_only_values<T>();

}  // namespace concurrent::multiprocessing
